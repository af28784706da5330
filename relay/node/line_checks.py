"""Line checks of a node: sessions that need no broadcast, few at once, seconds long."""

from __future__ import annotations

import asyncio

from relay.core.line_check import STREAM, TICK_MS, LineCheckPlan, LineCheckSender
from relay.core.negotiation import ViewerNegotiation
from relay.node.session import IceCredentials
from relay.node.viewer import ViewerCallbacks, ViewerSession
from relay.signalling.node_protocol import Grant, Refused
from relay.transport.parameters import CloseReason
from relay.transport.port import MediaPort

MAX_CHECKS = 4
MAX_WHILE_WATCHED = 2
"""A broadcast has viewers: at most 6.4 Mbit/s beside it."""
MAX_PER_COMMUNE = 2
RETRY_S = 8
UNUSED_S = 12.0
"""A session that never comes up, and one whose page does not close it."""


class LineChecks:
    """The sessions under way."""

    def __init__(self, port: MediaPort) -> None:
        self._port = port
        self.sessions: dict[str, ViewerSession] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._callbacks = ViewerCallbacks(
            self._on_connected, _nothing, _nothing, _nothing, self._on_closed
        )

    def check_room(self, commune: str, *, watched: bool) -> None:
        """Raises Refused: a check must not harm a broadcast, nor one commune the others.

        watched: somebody watches a broadcast here.
        """
        most = MAX_WHILE_WATCHED if watched else MAX_CHECKS
        own = sum(s.commune == commune for s in self.sessions.values())
        if len(self.sessions) >= most or own >= MAX_PER_COMMUNE:
            raise Refused(503, "Other line checks are under way.", RETRY_S)

    def open(
        self, grant: Grant, credentials: IceCredentials, negotiation: ViewerNegotiation
    ) -> ViewerSession:
        """A session whose transport is to be attached by the caller."""
        session = ViewerSession(
            STREAM,
            grant,
            self._port,
            credentials,
            negotiation,
            now_ms=self._port.now_ms(),
            callbacks=self._callbacks,
        )
        self.sessions[session.id] = session
        self._tasks[session.id] = asyncio.create_task(self._expire(session))
        return session

    async def close(self) -> None:
        """End all."""
        tasks = list(self._tasks.values())
        for session in list(self.sessions.values()):
            session.peer.close(CloseReason.SHUTDOWN)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _on_connected(self, session: ViewerSession) -> None:
        self._tasks[session.id].cancel()
        self._tasks[session.id] = asyncio.create_task(self._send(session))

    def _on_closed(self, session: ViewerSession, reason: CloseReason) -> None:
        self.sessions.pop(session.id, None)
        task = self._tasks.pop(session.id, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _expire(self, session: ViewerSession) -> None:
        await asyncio.sleep(UNUSED_S)
        session.peer.close(CloseReason.DELETED)

    async def _send(self, session: ViewerSession) -> None:
        media = next((m for m in session.negotiation.media if m.kind == "video"), None)
        if media is not None:
            sender = LineCheckSender(LineCheckPlan.of(media), self._port.now_ms())
            while not sender.over(self._port.now_ms()):
                for packet in sender.due(self._port.now_ms()):
                    session.peer.send_rtp(packet)
                await asyncio.sleep(TICK_MS / 1000)
        # The page reads its figures, then closes; one that does not is closed.
        await asyncio.sleep(UNUSED_S)
        session.peer.close(CloseReason.DELETED)


def _nothing(*_: object) -> None:
    """A check is not steered by what the viewer says."""

"""The board as server-sent events, read by fetch: whole at first, then what changed.

An event's id is "<board>-<version>". `Last-Event-ID` of the same board resumes: only what changed
since is sent. A board publishes once a second at most, so a reader gets no more than that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from hub.api.respond import SECURITY_HEADERS, to_json
from hub.telemetry.board import Board
from relay.signalling.node_protocol import Grant

RETRY_MS = 2000
HEARTBEAT_S = 3.0
"""Pages call their figures old after 10 s of silence."""
WRITE_TIMEOUT_S = 10.0
PIECE = 8
"""Events made into text before media has its turn again."""


@dataclass(frozen=True)
class Named:
    """An event to be."""

    name: str
    data: dict[str, Any]


@dataclass(frozen=True)
class BoardFeed:
    """What one audience is sent. whole: the first event. changes: events for what is newer than a
    version. heartbeat: sent when nothing changed for a while."""

    whole: Callable[[], Named]
    changes: Callable[[int], Sequence[Named]]
    heartbeat: Callable[[], Named]


async def serve_board(
    request: web.Request,
    board: Board,
    feed: BoardFeed,
    grant: Grant,
    is_revoked: Callable[[str], bool],
) -> web.StreamResponse:
    """Send events until the reader leaves, its token ends or the hub stops."""
    response = web.StreamResponse(
        headers={
            **SECURITY_HEADERS,
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    await response.prepare(request)
    await response.write(f"retry: {RETRY_MS}\n\n".encode())
    version = resume_point(request.headers.get("Last-Event-ID"), board)
    if version is None:
        version = board.version
        await _send(response, board, version, [feed.whole()])
    sent_s = time.monotonic()
    while not board.closed and time.time() < grant.expires_at and not is_revoked(grant.token_id):
        await board.wait_beyond(version, HEARTBEAT_S)
        events = feed.changes(version)
        if not events and time.monotonic() - sent_s >= HEARTBEAT_S:
            events = [feed.heartbeat()]
        version = board.version
        if events:
            sent_s = time.monotonic()
            if not await _send(response, board, version, events):
                break
    return response


def resume_point(last_event_id: str | None, board: Board) -> int | None:
    """The version that a reader has, None if it has nothing of this board."""
    board_id, _, version = (last_event_id or "").partition("-")
    if board_id != board.id or not version.isascii() or not version.isdigit() or len(version) > 15:
        return None
    return int(version) if int(version) <= board.version else None


async def _send(
    response: web.StreamResponse, board: Board, version: int, events: Sequence[Named]
) -> bool:
    """False when the reader takes nothing any more. Only the last event carries the id, so that
    a reader who got half of a batch asks for all of it again."""
    blocks = []
    for number, event in enumerate(events):
        blocks.append(f"event: {event.name}\ndata: {to_json(event.data)}\n")
        if number % PIECE == PIECE - 1:
            await asyncio.sleep(0)
    blocks[-1] = f"id: {board.id}-{version}\n{blocks[-1]}"
    try:
        text = "\n".join(blocks) + "\n"
        await asyncio.wait_for(response.write(text.encode()), WRITE_TIMEOUT_S)
    except (ConnectionError, TimeoutError):
        return False
    return True

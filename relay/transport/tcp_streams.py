"""All TCP connections of a port: taken in, given to the peers that their checks name, let go.

A connection is a path of a peer as a UDP address is one. Until a check over it has named a peer
it is unnamed, and its time, its packets and its kind are limited (tcp_admission).
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable, Sequence
from itertools import count

from relay.core.drops import DropReason
from relay.transport.counters import PortCounters
from relay.transport.ice import Path
from relay.transport.peer import Peer
from relay.transport.receiver import Receiver
from relay.transport.registry import PeerRegistry, path_key
from relay.transport.tcp_admission import (
    MAX_CONNECTIONS,
    MAX_PER_PEER,
    MAX_UNNAMED_FRAMES,
    UNNAMED_MS,
    Admission,
)
from relay.transport.tcp_listener import Connector, TcpListener
from relay.transport.tcp_queue import lane_of
from relay.transport.tcp_stream import TcpStream, plain

Overflow = Callable[[int, int, bool], None]


class TcpStreams:
    """A StreamOwner. on_overflow(peer index, packets, gate): a queue dropped packets."""

    def __init__(
        self,
        registry: PeerRegistry,
        receiver: Receiver,
        counters: PortCounters,
        loop: asyncio.AbstractEventLoop,
        on_overflow: Overflow,
    ) -> None:
        self._registry = registry
        self._receiver = receiver
        self._counters = counters
        self._loop = loop
        self._on_overflow = on_overflow
        self._admission = Admission(_connection_limit())
        self._listeners: list[TcpListener] = []
        self._streams: dict[int, TcpStream] = {}
        self._of_peer: dict[int, dict[int, TcpStream]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._connecting: dict[Connector, tuple[Peer, tuple[str, int]]] = {}
        self._numbers = count(1)
        self._closed = False

    @property
    def named(self) -> int:
        """Connections that belong to a peer."""
        return self._admission.named

    @property
    def unnamed(self) -> int:
        return self._admission.unnamed

    def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Take over listening sockets."""
        for sock in sockets:
            self._listeners.append(TcpListener(sock, self._on_connection, self._loop))

    def connect(self, peer: Peer, address: tuple[str, int]) -> None:
        """Open a connection of a controlling peer; it hears of it by on_stream_open or _closed."""
        self._connecting[Connector(address, self._on_connected, self._loop)] = (peer, address)

    def transmit(self, peer: Peer, packet: bytes, path: Path) -> None:
        """Queue one packet. A connection that is gone makes it a counted drop."""
        stream = self._streams.get(path.stream)
        if stream is None:
            self._counters.drops[DropReason.SEND_ERROR] += 1
        else:
            stream.push(packet, lane_of(packet, peer.voice_ssrcs))

    def drain(self) -> None:
        """Read what has come, after a pause of the process."""
        for stream in list(self._streams.values()):
            stream.on_readable()

    def on_selected(self, peer: Peer) -> None:
        """A client that has a path needs no other connection."""
        for stream in list(self._of_peer.get(peer.index, {}).values()):
            if stream.path != peer.ice.selected:
                stream.close()

    def release(self, peer: Peer) -> None:
        """The peer is closed: say what there is to say, then hang up."""
        for connector in [c for c, (owner, _) in self._connecting.items() if owner is peer]:
            del self._connecting[connector]
            connector.cancel()
        for stream in self._of_peer.pop(peer.index, {}).values():
            stream.peer_index = None
            stream.finish()

    def close(self) -> None:
        """Every listener and connection, at once."""
        self._closed = True
        for listener in self._listeners:
            listener.close()
        for connector in self._connecting:
            connector.cancel()
        self._connecting.clear()
        for stream in list(self._streams.values()):
            stream.close()

    # -- StreamOwner

    def on_frames(self, stream: TcpStream, packets: list[bytes]) -> None:
        """Like datagrams; the first must make the connection somebody's."""
        if stream.peer_index is not None:
            self._receiver.on_frames(packets, stream.path)
            return
        for packet in packets:
            stream.frames += 1
            if packet[0] < 4:
                self._receiver.on_frames([packet], stream.path)
                self._adopt(stream)
            elif stream.peer_index is not None:
                self._receiver.on_frames([packet], stream.path)
            if stream.closed:
                return
            if stream.peer_index is None and (packet[0] >= 4 or stream.frames > MAX_UNNAMED_FRAMES):
                self._counters.drops[DropReason.TCP_UNNAMED] += 1
                stream.close()
                return

    def on_misframed(self, stream: TcpStream) -> None:
        """Counted; the stream closes itself."""
        self._counters.drops[DropReason.TCP_FRAMING] += 1

    def on_stream_closed(self, stream: TcpStream) -> None:
        """Its path is no path any more."""
        del self._streams[stream.number]
        self._admission.leave(stream.number)
        timer = self._timers.pop(stream.number, None)
        if timer is not None:
            timer.cancel()
        if stream.peer_index is None:
            return
        self._of_peer.get(stream.peer_index, {}).pop(stream.number, None)
        peer = self._registry.by_index.get(stream.peer_index)
        if peer is not None:
            peer.on_stream_closed(stream.path)

    def on_written(self, packets: int, octets: int) -> None:
        self._counters.packets_out += packets
        self._counters.bytes_out += octets

    def on_stream_overflow(self, stream: TcpStream, packets: int, gate: bool) -> None:
        if stream.peer_index is not None:
            self._on_overflow(stream.peer_index, packets, gate)

    # -- inside

    def _on_connection(self, sock: socket.socket) -> None:
        try:
            host = plain(sock.getpeername())[0]
        except OSError:
            sock.close()
            return
        if self._closed or not self._admission.admits(host):
            self._counters.drops[DropReason.TCP_REFUSED] += 1
            sock.close()
            return
        stream = self._open(sock)
        if stream is None:
            return
        self._timers[stream.number] = self._loop.call_later(
            UNNAMED_MS / 1000, self._on_unnamed_too_long, stream
        )
        crowded = self._admission.enter(stream.number, host)
        if crowded is not None:
            self._counters.drops[DropReason.TCP_REFUSED] += 1
            self._streams[crowded].close()

    def _open(self, sock: socket.socket) -> TcpStream | None:
        try:
            stream = TcpStream(sock, next(self._numbers), self, self._loop)
        except OSError:
            sock.close()
            return None
        self._streams[stream.number] = stream
        return stream

    def _on_unnamed_too_long(self, stream: TcpStream) -> None:
        self._counters.drops[DropReason.TCP_UNNAMED] += 1
        stream.close()

    def _adopt(self, stream: TcpStream) -> None:
        """The check may have made the connection a path."""
        peer = self._registry.by_address.get(path_key(stream.path))
        if peer is None or stream.peer_index is not None or stream.closed:
            return
        self._timers.pop(stream.number).cancel()
        self._admission.name(stream.number)
        self._give(stream, peer)

    def _give(self, stream: TcpStream, peer: Peer) -> None:
        stream.peer_index = peer.index
        mine = self._of_peer.setdefault(peer.index, {})
        mine[stream.number] = stream
        if len(mine) > MAX_PER_PEER:
            spare = (s for s in mine.values() if s is not stream and s.path != peer.ice.selected)
            self._counters.drops[DropReason.TCP_REFUSED] += 1
            next(spare).close()

    def _on_connected(self, connector: Connector, sock: socket.socket | None) -> None:
        peer, address = self._connecting.pop(connector)
        stream = self._open(sock) if sock is not None else None
        if stream is None:
            peer.on_connect_failed(address)
            return
        self._give(stream, peer)
        if not peer.on_stream_open(stream.path):
            stream.close()


def _connection_limit() -> int:
    """Half of the process's descriptors: the other half is for HTTP."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)

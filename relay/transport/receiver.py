"""From a readable socket to handlers: drain, demultiplex, open, one call per peer and batch."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from relay.core.drops import DropReason
from relay.transport.binding_responder import BindingResponder, asks_address
from relay.transport.counters import PortCounters
from relay.transport.ice import Path
from relay.transport.peer import Peer
from relay.transport.receive import AddressKey, ReceiveBlock, shared_block
from relay.transport.registry import PeerRegistry, path_key
from relay.transport.strangers import Strangers
from relay.transport.stun import (
    BINDING_INDICATION,
    BINDING_REQUEST,
    StunError,
    StunMessage,
    parse_stun,
)
from relay.transport.udp_socket import UdpSocket

MAX_STRANGE_BYTES = 1600
MAX_CALLS = 4
"""recvmmsg calls per wake-up, then other work gets its turn."""


class _Origin(Protocol):
    """Where packets came from; asked only for STUN, because a flood comes through here."""

    def path(self, i: int) -> Path: ...


class _OnePath(NamedTuple):
    """The origin of all that comes over one connection."""

    known: Path

    def path(self, i: int) -> Path:
        return self.known


class _Burst:
    """Clear packets of one wake-up, in order, by peer."""

    def __init__(self) -> None:
        self.rtp: dict[Peer, list[bytes]] = {}
        self.rtcp: list[tuple[Peer, bytes]] = []


class Receiver:
    """The receiving half of a port. reply: sends to strangers who ask for their address by UDP;
    None: they get no answer."""

    def __init__(
        self,
        registry: PeerRegistry,
        counters: PortCounters,
        loop: asyncio.AbstractEventLoop,
        reply: Callable[[bytes, Path], None] | None = None,
    ) -> None:
        self._registry = registry
        self._counters = counters
        self._loop = loop
        self._reply = reply
        self._responder = BindingResponder()
        self._strangers = Strangers()
        self._burst = _Burst()
        self._blocks: dict[bool, ReceiveBlock] = {}

    def on_readable(self, sock: UdpSocket) -> None:
        """Drain the socket, hand on what came."""
        block = self._blocks.get(sock.gro)
        if block is None:
            block = self._blocks[sock.gro] = shared_block(self._loop, gro=sock.gro)
        now_ms = self._loop.time() * 1000
        for _ in range(MAX_CALLS):
            count = block.receive(sock.fd, sock.family)
            if count < 0:
                if count not in (-errno.EAGAIN, -errno.EINTR):
                    self._counters.send_errors[-count] += 1
                break
            self._counters.bytes_in += block.octets(count)
            for view, key, number in block.datagrams(count):
                self._counters.packets_in += 1
                self._demultiplex(view, key, block, number, now_ms)
            if count < block.capacity or sock.socket.fileno() < 0:
                break
        self._deliver(now_ms)

    def on_frames(self, packets: Sequence[bytes], path: Path) -> None:
        """Packets of a TCP connection: the same as datagrams."""
        now_ms = self._loop.time() * 1000
        origin, key = _OnePath(path), path_key(path)
        for packet in packets:
            self._counters.packets_in += 1
            self._counters.bytes_in += len(packet)
            self._demultiplex(memoryview(packet), key, origin, 0, now_ms)
        self._deliver(now_ms)

    def on_connected(self, peer: Peer, now_ms: float) -> None:
        """The peer has keys: tell its owner, then open what waited for them."""
        self.tell(peer.handler.on_peer_connected, peer)
        for data in peer.take_early():
            if not peer.closed:
                self._on_media(peer, data, now_ms)
        self._deliver(now_ms)

    def _demultiplex(
        self, view: memoryview, key: AddressKey, origin: _Origin, number: int, now_ms: float
    ) -> None:
        """RFC 7983 section 7."""
        if not len(view):
            self._counters.drops[DropReason.OVERSIZED] += 1
            return
        first = view[0]
        if first < 4:
            self._on_stun(bytes(view), origin, number, now_ms)
            return
        peer = self._registry.by_address.get(key)
        if peer is None:
            media = 128 <= first < 192
            if not (media and self._on_strange_media(view, key, origin, number, now_ms)):
                self._counters.drops[DropReason.UNKNOWN_PEER] += 1
        elif 128 <= first < 192:
            self._on_media(peer, bytes(view), now_ms)
        elif 20 <= first < 64:
            if peer.connected:
                # It may be a close_notify: what came before it is delivered before it.
                self._deliver(now_ms)
            peer.on_dtls(bytes(view), now_ms)
        else:
            self._counters.drops[DropReason.UNKNOWN_PROTOCOL] += 1

    def _on_stun(self, data: bytes, origin: _Origin, number: int, now_ms: float) -> None:
        drops = self._counters.drops
        try:
            message = parse_stun(data)
        except StunError:
            drops[DropReason.MALFORMED_STUN] += 1
            return
        if message.kind == BINDING_INDICATION:
            return
        peer = self._registry.of_stun(message)
        if peer is None:
            self._on_strange_stun(message, origin, number, now_ms)
            return
        path = origin.path(number)
        movable = message.kind != BINDING_REQUEST or self._registry.may_take(peer, path, now_ms)
        if not peer.on_stun(message, path, now_ms, movable=movable):
            drops[DropReason.STUN_BAD_CREDENTIALS] += 1

    def _on_strange_stun(
        self, message: StunMessage, origin: _Origin, number: int, now_ms: float
    ) -> None:
        path = origin.path(number) if self._reply and asks_address(message) else None
        if self._reply is None or path is None or path.stream:
            self._counters.drops[DropReason.STUN_BAD_CREDENTIALS] += 1
            return
        answer = self._responder.answer(message, path.remote, now_ms)
        if answer is None:
            self._counters.drops[DropReason.STUN_RATE_LIMITED] += 1
        else:
            self._reply(answer, path)

    def _on_strange_media(
        self, view: memoryview, key: AddressKey, origin: _Origin, number: int, now_ms: float
    ) -> bool:
        """SRTP or SRTCP from an unknown address: of a peer whose address has changed, or of nobody.

        Whoever opens a TCP connection sends a check over it first.
        """
        data = bytes(view)
        if not 12 <= len(data) <= MAX_STRANGE_BYTES:
            return False
        rtcp = 192 <= data[1] < 224
        peers = self._registry.by_index.values()
        candidates = self._strangers.candidates(peers, data, key, rtcp=rtcp, now_ms=now_ms)
        path = origin.path(number) if candidates else None
        if path is None or path.stream:
            return False
        for peer in candidates:
            clear = peer.open_from(data, path, rtcp=rtcp, now_ms=now_ms)
            if clear is None:
                continue
            if rtcp:
                self._burst.rtcp.append((peer, clear))
            elif peer.opens_media:
                self._burst.rtp.setdefault(peer, []).append(clear)
            return True
        return False

    def _on_media(self, peer: Peer, data: bytes, now_ms: float) -> None:
        if len(data) < 12:
            self._counters.drops[DropReason.MALFORMED_RTP] += 1
            return
        # RFC 5761 section 4: RTCP types 192 to 223 do not occur as RTP's marker and type.
        rtcp = 192 <= data[1] < 224
        clear = data
        if rtcp or peer.opens_media:
            opened = peer.open(data, rtcp=rtcp, now_ms=now_ms)
            if opened is None:
                return
            clear = opened
        if rtcp:
            self._burst.rtcp.append((peer, clear))
        else:
            self._burst.rtp.setdefault(peer, []).append(clear)

    def _deliver(self, now_ms: float) -> None:
        burst, self._burst = self._burst, _Burst()
        for peer, packets in burst.rtp.items():
            if not peer.closed:
                self.tell(peer.handler.on_rtp, peer, packets, now_ms)
        for peer, packet in burst.rtcp:
            if not peer.closed:
                self.tell(peer.handler.on_rtcp, peer, packet, now_ms)

    def tell(self, function: Callable[..., None], *args: object) -> None:
        """A handler that fails must not take the other peers' packets with it."""
        try:
            function(*args)
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": "a peer's handler failed", "exception": error}
            )

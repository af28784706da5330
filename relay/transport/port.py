"""The one media port of a process: every peer behind it, drained and filled in batches.

Demultiplexing (RFC 7983 by the first byte, then by remote address). STUN requests find their peer
by USERNAME and are the only way in for an address that is not known yet: nothing is kept of one
that does not prove itself. TCP connections (RFC 6544) are paths too, beside the UDP sockets.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Sequence

from relay.core.arena import SendBatch
from relay.core.drops import DropReason
from relay.transport import kernel
from relay.transport.batch_sender import BLOCKED, BatchSender
from relay.transport.candidate import Candidate, local_candidates, machine_addresses
from relay.transport.certificate import DtlsCertificate
from relay.transport.counters import PortCounters
from relay.transport.deadlines import Deadlines
from relay.transport.dtls import DtlsContext
from relay.transport.ice import DEFAULT_CONSENT_MS, Path
from relay.transport.ice_controlling import ControllingAgent
from relay.transport.parameters import CloseReason, PeerHandler, PeerParameters
from relay.transport.peer import Peer
from relay.transport.peer_table import PeerTable
from relay.transport.receiver import Receiver
from relay.transport.registry import PeerRegistry
from relay.transport.send_queue import SendQueue
from relay.transport.srtp import PeerSrtp, SrtpScratch
from relay.transport.tcp_listener import TcpPorts, listening_sockets
from relay.transport.tcp_streams import TcpStreams
from relay.transport.udp_socket import BIND_ATTEMPTS, CLIENT_BUFFER_BYTES, UdpSocket, open_sockets

ENOBUFS_RETRY_S = 0.001
"""A device queue that is full does not show in the socket's writability."""


LATE_MS = 50.0
"""A timer this late tells of a pause; to look at every TCP connection each time would cost."""


class MediaPort:
    """Made by `open`; owned by the event loop that opened it. Not thread-safe."""

    def __init__(
        self,
        sockets: Sequence[UdpSocket],
        candidates: tuple[Candidate, ...],
        certificate: DtlsCertificate,
        consent_timeout_ms: float,
        *,
        client: bool,
        gso: bool,
        listening: Sequence[socket.socket] = (),
    ) -> None:
        self.port = sockets[0].port
        self.fingerprint = certificate.fingerprint
        self.candidates = candidates
        self.counters = PortCounters()
        self.scratch = SrtpScratch()
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[int, UdpSocket] = {}
        self._may_open_ipv6 = client
        self._context = DtlsContext.of(certificate)
        self._consent_timeout_ms = consent_timeout_ms
        self._table = PeerTable(gso=gso)
        self._registry = PeerRegistry()
        self._deadlines = Deadlines()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = float("inf")
        self._queues: dict[int, SendQueue] = {}
        self._blocked: set[int] = set()
        self._sender = BatchSender(self._table, self.counters, self)
        self._receiver = Receiver(
            self._registry, self.counters, self._loop, None if client else self._reply
        )
        self.streams = TcpStreams(
            self._registry, self._receiver, self.counters, self._loop, self._on_overflow
        )
        self.streams.listen(listening)
        self._closed = False
        for sock in sockets:
            self._add_socket(sock)

    @classmethod
    async def open(
        cls,
        *,
        port: int,
        addresses: Sequence[str] | None = None,
        announced: Sequence[str] = (),
        certificate: DtlsCertificate | None = None,
        consent_timeout_ms: float = DEFAULT_CONSENT_MS,
        client: bool = False,
        gso: bool | None = None,
        tcp: TcpPorts | None = None,
    ) -> MediaPort:
        """Bind and start to listen.

        port: 0 takes any that is free. addresses: to serve, None is all. announced: stand in for
        them in the candidates (1:1 NAT). client: a light port for one outgoing session: IPv4,
        small buffers, joined receives. gso: None asks the kernel. tcp: listen for ICE-TCP too.
        Raises OSError when the port cannot be bound, ValueError for what is no IP address.
        """
        if not kernel.supported():
            raise OSError(errno.ENOSYS, "the media port needs 64-bit Linux")
        served = None if addresses is None else _named(addresses)
        outside = _named(announced)
        certificate = certificate or DtlsCertificate.generate()
        sockets, listening = _open_all(port, served, tcp, client=client)
        families = {s.family for s in sockets}
        hosts = [
            host
            for host in (served or (() if client else machine_addresses()))
            if (kernel.AF_INET6 if ":" in host else kernel.AF_INET) in families
        ]
        return cls(
            sockets,
            local_candidates(
                hosts,
                sockets[0].port,
                announced=outside,
                tcp_ports=tcp.numbers(sockets[0].port) if tcp is not None else (),
            ),
            certificate,
            consent_timeout_ms,
            client=client and not addresses,
            gso=kernel.probe_gso() if gso is None else gso,
            listening=listening,
        )

    def now_ms(self) -> float:
        """Monotonic milliseconds: the event loop's clock."""
        return self._loop.time() * 1000

    def add_peer(self, parameters: PeerParameters, handler: PeerHandler) -> Peer:
        """A transport; the handler is not called before this returns.

        Raises ValueError if another peer has the same local ufrag, RuntimeError once closed.
        """
        if self._closed:
            raise RuntimeError("the port is closed")
        self._registry.check_ufrag(parameters.local_ufrag)
        now_ms = self.now_ms()
        peer = Peer(
            self,
            self._table.take_index(now_ms),
            parameters,
            handler,
            self._context,
            self._consent_timeout_ms,
            now_ms,
        )
        self._registry.add(peer)
        peer.begin(now_ms)
        return peer

    def send_batch(self, batch: SendBatch) -> None:
        """Seal rows in place and send. Never blocks; what the socket refuses waits, bounded.

        Rows of peers that are gone or not keyed are counted drops. Raises ValueError when the
        trains do not add up to the rows.
        """
        if not self._closed:
            self._sender.send(batch)

    async def close(self) -> None:
        """Close every peer (SHUTDOWN) and free the sockets. May be called twice."""
        if self._closed:
            return
        for peer in self._registry.all():
            peer.close(CloseReason.SHUTDOWN)
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._sender.forget_plans()
        self.streams.close()
        for slot, sock in self._sockets.items():
            self._loop.remove_reader(sock.fd)
            if slot in self._blocked:
                self._loop.remove_writer(sock.fd)
            sock.close()
        await asyncio.sleep(0)

    # -- PeerHost

    def transmit(self, peer: Peer, data: bytes, path: Path) -> None:
        """One packet to a path of a peer."""
        self._transmit(peer, data, path)

    def on_paths_changed(self, peer: Peer) -> None:
        """ICE learned, forgot or selected a path, or changed credentials."""
        if self._registry.update(peer):
            self._table.set_path(peer.index, peer.ice.selected)
            if isinstance(peer.ice, ControllingAgent) and peer.ice.selected is not None:
                self.streams.on_selected(peer)

    def connect(self, peer: Peer, address: tuple[str, int]) -> None:
        """Open a TCP connection for a controlling peer."""
        self.streams.connect(peer, address)

    def on_keyed(self, peer: Peer, srtp: PeerSrtp) -> None:
        """DTLS is through."""
        self._table.set_session(peer.index, srtp.outbound)
        self._receiver.on_connected(peer, self.now_ms())

    def on_closed(self, peer: Peer) -> None:
        """Nothing may reach the peer or its sessions from here on."""
        self._table.release(peer.index, self.now_ms())
        self._registry.remove(peer)
        self.streams.release(peer)
        for queue in self._queues.values():
            queue.forget(peer.index)

    def on_deadline_changed(self, peer: Peer) -> None:
        """Its next deadline may be earlier than it was."""
        if self._deadlines.update(peer):
            self._arm()

    def tell(self, function: Callable[..., None], *args: object) -> None:
        """Call a handler; its failure is reported and stays its own."""
        self._receiver.tell(function, *args)

    # -- SendOutlet

    def fd_of(self, slot: int) -> int | None:
        """None while the socket is blocked, or when there is none."""
        sock = self._sockets.get(slot)
        return None if sock is None or slot in self._blocked else sock.fd

    def send_row(self, index: int, data: bytes) -> None:
        """One sealed packet of a batch."""
        peer = self._registry.by_index.get(index)
        if peer is not None and peer.ice.selected is not None:
            self._transmit(peer, data, peer.ice.selected)

    def on_blocked(self, slot: int, code: int) -> None:
        """Wait until the socket takes packets again."""
        if slot in self._blocked:
            return
        self._blocked.add(slot)
        if code == errno.EAGAIN:
            self._loop.add_writer(self._sockets[slot].fd, self._flush, slot)
        else:
            self._loop.call_later(ENOBUFS_RETRY_S, self._flush, slot)

    # -- inside

    def _transmit(self, peer: Peer, data: bytes, path: Path) -> None:
        if path.stream:
            self.streams.transmit(peer, data, path)
            return
        slot = 1 if ":" in path.remote[0] else 0
        if slot not in self._sockets and not self._open_ipv6(slot):
            self.counters.drops[DropReason.SEND_ERROR] += 1
        elif slot in self._blocked or not self._send_now(slot, data, path):
            waits = self._queues[slot].push(peer.index, data, path, self.now_ms())
            self.counters.queued += int(waits)

    def _reply(self, data: bytes, path: Path) -> None:
        """To somebody who is no peer: now or never."""
        slot = 1 if ":" in path.remote[0] else 0
        if slot in self._blocked or not self._send_now(slot, data, path):
            self.counters.drops[DropReason.SEND_QUEUE_FULL] += 1

    def _open_ipv6(self, slot: int) -> bool:
        """A client that meets an IPv6 candidate and no IPv4 answer gets its second socket."""
        if slot == 0 or not self._may_open_ipv6 or self._closed:
            return False
        self._may_open_ipv6 = False
        try:
            sock = UdpSocket(kernel.AF_INET6, "::", 0, buffer_bytes=CLIENT_BUFFER_BYTES, gro=True)
        except OSError as error:
            self.counters.send_errors[error.errno or errno.EAFNOSUPPORT] += 1
            return False
        self._add_socket(sock)
        return True

    def _add_socket(self, sock: UdpSocket) -> None:
        slot = 0 if sock.family == kernel.AF_INET else 1
        self._sockets[slot] = sock
        self._queues[slot] = SendQueue(self._on_overflow)
        self._loop.add_reader(sock.fd, self._receiver.on_readable, sock)

    def _send_now(self, slot: int, data: bytes, path: Path) -> bool:
        """False if the socket is blocked; any other error drops the datagram."""
        code = self._sockets[slot].send(data, path)
        if code == 0:
            self.counters.packets_out += 1
            self.counters.bytes_out += len(data)
        elif code in BLOCKED:
            self.on_blocked(slot, code)
            return False
        else:
            self.counters.send_errors[code] += 1
            self.counters.drops[DropReason.SEND_ERROR] += 1
        return True

    def _flush(self, slot: int) -> None:
        if self._closed:
            return
        self._loop.remove_writer(self._sockets[slot].fd)
        self._blocked.discard(slot)
        self._queues[slot].flush(lambda data, path: self._send_now(slot, data, path), self.now_ms())

    def _on_overflow(self, index: int, packets: int, first: bool) -> None:
        self.counters.overflow += packets
        self.counters.drops[DropReason.SEND_QUEUE_FULL] += packets
        peer = self._registry.by_index.get(index)
        if peer is not None and first:
            # Later, because the owner may be in the middle of making a batch.
            self._loop.call_soon(self._tell_overflow, peer)

    def _tell_overflow(self, peer: Peer) -> None:
        if not peer.closed:
            peer.handler.on_send_overflow(peer)

    def _arm(self) -> None:
        first_ms = self._deadlines.first_ms()
        if first_ms >= self._timer_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = first_ms
        self._timer = self._loop.call_at(first_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        late_ms = self.now_ms() - self._timer_ms
        self._timer = None
        self._timer_ms = float("inf")
        # After a pause the sign of life may be waiting in the socket: look before judging.
        for sock in self._sockets.values():
            self._receiver.on_readable(sock)
        if late_ms > LATE_MS:
            self.streams.drain()
        self._deadlines.run(self.now_ms())
        if not self._closed:
            self._arm()


def _open_all(
    port: int, addresses: Sequence[str] | None, tcp: TcpPorts | None, *, client: bool
) -> tuple[list[UdpSocket], list[socket.socket]]:
    """UDP sockets and listening TCP sockets; port 0 takes a number that is free for all."""
    for attempt in range(BIND_ATTEMPTS):
        sockets = open_sockets(port, addresses, client=client)
        if tcp is None:
            return sockets, []
        numbers = tcp.numbers(sockets[0].port)
        try:
            return sockets, listening_sockets(numbers, addresses, [s.family for s in sockets])
        except OSError as error:
            for sock in sockets:
                sock.close()
            again = port == 0 and tcp.port == 0 and attempt < BIND_ATTEMPTS - 1
            if not again or error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "no port number is free for UDP and TCP")


def _named(addresses: Sequence[str]) -> list[str]:
    """Addresses by name: a wildcard stands for every address of its family."""
    out: list[str] = []
    for host in addresses:
        if ipaddress.ip_address(host).is_unspecified:
            out += [a for a in machine_addresses() if (":" in a) == (":" in host)]
        else:
            out.append(host)
    return list(dict.fromkeys(out))

"""A bad line between clients and a UDP server, in user space: `LinkModel` with sockets.

The server sees each client at a port of its own, as behind a translator, which `rebind` changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import heapq
import math
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.netns.link_model import LinkDrop, LinkModel, LinkSettings
from tests.netns.rules import Direction

Address = tuple[str, int]
Sealed = tuple["_Client", bytes]
NewSocket = Callable[[int, int], socket.socket]
"""(family, kind) to a socket: socket.socket, or Host.socket for a link inside a host."""

BATCH = 64
"""Datagrams of one socket before others have their turn."""
BUFFER_BYTES = 8 << 20
MAX_DATAGRAM = 65_536
MAX_CLIENTS = 2000
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("@9I")
_MEMINFO_DROPS = 8


class _Line:
    """Both ways of one line."""

    def __init__(self, up: LinkSettings, down: LinkSettings, seed: int) -> None:
        self.up: LinkModel[Sealed] = LinkModel(up, 2 * seed)
        self.down: LinkModel[Sealed] = LinkModel(down, 2 * seed + 1)
        self.wakes_ms = math.inf
        """When a timer looks after it; never later than its next deadline."""

    def models(self, direction: Direction = "both") -> Iterator[LinkModel[Sealed]]:
        if direction != "down":
            yield self.up
        if direction != "up":
            yield self.down


class _Client:
    """A client address, its line, and its socket towards the server."""

    def __init__(self, address: Address, line: _Line, upstream: socket.socket) -> None:
        self.address = address
        self.line = line
        self.upstream = upstream


class UdpLink:
    """`address` is where clients send to. Use as `async with UdpLink(target) as link:`.

    target: the server. listen: where clients come in, port 0 takes any. up, down: from and to the
    clients. shared: all clients have one line together, else each has its own. new_socket: makes
    the sockets, e.g. `host.socket`. Refusals by ICMP do not cross the link. Delays are rounded up
    to the next millisecond.
    """

    def __init__(
        self,
        target: Address,
        *,
        listen: Address = ("127.0.0.1", 0),
        up: LinkSettings | None = None,
        down: LinkSettings | None = None,
        seed: int = 1,
        shared: bool = False,
        new_socket: NewSocket = socket.socket,
    ) -> None:
        self.target = target
        self.unroutable = 0
        """Datagrams that the system would not send, or clients too many."""
        self._up = up or LinkSettings()
        self._down = down or LinkSettings()
        self._seed = seed
        self._new_socket = new_socket
        self._shared = _Line(self._up, self._down, seed) if shared else None
        self._clients: dict[Address, _Client] = {}
        self._lines: list[_Line] = [self._shared] if self._shared else []
        self._retired: list[socket.socket] = []
        self._wakes: list[tuple[float, int, _Line]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ms = math.inf
        self._numbers = 0
        self._cut = False
        self._held = False
        self._loop = asyncio.get_running_loop()
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._socket = self._open_socket(listen)
        self.address: Address = self._socket.getsockname()[:2]
        self._loop.add_reader(self._socket, self._on_clients)

    async def __aenter__(self) -> UdpLink:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    @property
    def clients(self) -> list[Address]:
        """Addresses of the clients seen so far."""
        return list(self._clients)

    def seen_as(self, client: Address) -> Address:
        """The address at which the server sees a client. Raises KeyError."""
        address: Address = self._clients[client].upstream.getsockname()[:2]
        return address

    def set(self, direction: Direction = "both", **changes: Any) -> None:
        """Change settings of all lines, e.g. `set(loss=0.05, delay_ms=40)`. Raises ValueError,
        TypeError for an unknown name."""
        up, down = self._up, self._down
        if direction != "down":
            up = replace(up, **changes)
        if direction != "up":
            down = replace(down, **changes)
        self._up, self._down = up, down
        for line in self._lines:
            line.up.settings, line.down.settings = up, down

    def pause(self) -> None:
        """The line is dead: packets vanish both ways, and nobody is told."""
        self._switch(cut=True, held=False)

    def hold(self) -> None:
        """The line stalls: packets wait and come all at once on `resume`, as on bad Wi-Fi."""
        self._switch(cut=False, held=True)

    def resume(self) -> None:
        """The line is as its settings say."""
        self._switch(cut=False, held=False)
        for line in self._lines:
            self._deliver(line)

    def rebind(self, client: Address | None = None, *, host: str = "") -> None:
        """The server sees a client (None: all) at another port from now on; what it sends to the
        old one vanishes. host: and at this address of ours."""
        for one in [self._clients[client]] if client else list(self._clients.values()):
            old = one.upstream
            one.upstream = self._connect(one, host or old.getsockname()[0])
            self._loop.remove_reader(old)
            # Kept open and unread: the server would hear ICMP from a closed one.
            self._retired.append(old)

    def drops(self, direction: Direction = "both") -> Counter[LinkDrop]:
        """Packets that the lines took, by reason."""
        models = (model for line in self._lines for model in line.models(direction))
        return sum((model.drops for model in models), Counter())

    def delivered(self, direction: Direction = "both") -> int:
        """Packets that arrived."""
        return sum(m.delivered for line in self._lines for m in line.models(direction))

    def own_losses(self) -> int:
        """Packets lost because the link itself was too slow: full socket buffers."""
        sockets = [self._socket, *(client.upstream for client in self._clients.values())]
        return self.unroutable + sum(map(_overruns, sockets))

    def close(self) -> None:
        """Packets under way are lost."""
        if self._timer:
            self._timer.cancel()
        sockets = [self._socket, *(client.upstream for client in self._clients.values())]
        for one in sockets:
            self._loop.remove_reader(one)
        for one in (*sockets, *self._retired):
            one.close()
        self._clients.clear()
        self._retired.clear()

    # -- packets

    def _on_clients(self) -> None:
        now_ms = self._loop.time() * 1000
        touched: dict[_Line, None] = {}
        for _ in range(BATCH):
            try:
                data, source = self._socket.recvfrom(MAX_DATAGRAM)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    break
                continue
            client = self._clients.get(source[:2]) or self._admit(source[:2])
            if client is not None:
                client.line.up.feed((client, data), len(data), now_ms)
                touched[client.line] = None
        for line in touched:
            self._deliver(line)

    def _on_server(self, client: _Client) -> None:
        now_ms = self._loop.time() * 1000
        receive = client.upstream.recv
        feed = client.line.down.feed
        for _ in range(BATCH):
            try:
                data = receive(MAX_DATAGRAM)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    break
                continue  # ICMP: the server is not there
            feed((client, data), len(data), now_ms)
        self._deliver(client.line)

    def _deliver(self, line: _Line) -> None:
        """Send what is due and come back when the next one is."""
        now_ms = self._loop.time() * 1000
        for client, data in line.up.poll(now_ms):
            self._send(client.upstream.send, data)
        for client, data in line.down.poll(now_ms):
            self._send(self._socket.sendto, data, client.address)
        wakes_ms = min(line.up.next_deadline_ms(), line.down.next_deadline_ms())
        if wakes_ms < line.wakes_ms:
            line.wakes_ms = wakes_ms
            self._numbers += 1
            heapq.heappush(self._wakes, (wakes_ms, self._numbers, line))
            self._set_timer()

    def _send(self, send: Callable[..., int], *arguments: Any) -> None:
        try:
            send(*arguments)
        except ConnectionRefusedError:
            # What was heard about an earlier packet; this one was not sent.
            with contextlib.suppress(OSError):
                send(*arguments)
        except OSError:
            self.unroutable += 1

    def _set_timer(self) -> None:
        soonest_ms = self._wakes[0][0]
        if soonest_ms < self._timer_ms:
            if self._timer:
                self._timer.cancel()
            self._timer_ms = soonest_ms
            self._timer = self._loop.call_at(soonest_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_ms = None, math.inf
        now_ms = self._loop.time() * 1000
        while self._wakes and self._wakes[0][0] <= now_ms:
            _, _, line = heapq.heappop(self._wakes)
            if line.wakes_ms <= now_ms:
                line.wakes_ms = math.inf
                self._deliver(line)
        if self._wakes:
            self._set_timer()

    # -- clients

    def _admit(self, address: Address) -> _Client | None:
        if len(self._clients) >= MAX_CLIENTS:
            self.unroutable += 1
            return None
        line = self._shared
        if line is None:
            line = _Line(self._up, self._down, self._seed + len(self._lines))
            for model in line.models():
                model.cut, model.held = self._cut, self._held
            self._lines.append(line)
        client = _Client(address, line, self._socket)
        client.upstream = self._connect(client, "")
        self._clients[address] = client
        return client

    def _connect(self, client: _Client, host: str) -> socket.socket:
        made = self._open_socket((host, 0))
        made.connect(self.target)
        self._loop.add_reader(made, self._on_server, client)
        return made

    def _open_socket(self, address: Address) -> socket.socket:
        made = self._new_socket(self._family, socket.SOCK_DGRAM)
        try:
            made.setblocking(False)
            with contextlib.suppress(PermissionError):
                made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
            made.bind(address)
        except OSError:
            made.close()
            raise
        return made

    def _switch(self, *, cut: bool, held: bool) -> None:
        self._cut, self._held = cut, held
        for line in self._lines:
            for model in line.models():
                model.cut, model.held = cut, held


def _overruns(sock: socket.socket) -> int:
    """Datagrams that found its buffer full."""
    info = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(info)[_MEMINFO_DROPS])

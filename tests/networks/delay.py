"""A line that takes time: every packet to and from a host waits on its way through the router.

netem would do it where the kernel has it. Here the router sends the host's packets into a TUN
device, this process holds them for a while and gives them back; the host's losses and its rate
come behind that, as ever. Not for hosts behind a translator: their packets would be translated
twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import threading
from collections import deque
from collections.abc import AsyncIterator

from tests.netns import namespaces
from tests.netns.commands import ip
from tests.netns.hosts import Host, Lan

DEVICE = "tdelay"
TABLE = 101
"""The router's way into the device."""
MAX_WAITING = 20_000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
MAX_PACKET = 65_536


class DelayLine:
    """Packets of a TUN device go back into it after delay_ms, in their order."""

    def __init__(self, tun: int, delay_ms: float) -> None:
        self._tun = tun
        self._delay_s = delay_ms / 1000
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.passed = 0
        self.latest_s = 0.0
        """By how much a packet left later than it should have."""
        self._loop.add_reader(tun, self._on_readable)

    def _on_readable(self) -> None:
        due = self._loop.time() + self._delay_s
        with contextlib.suppress(BlockingIOError):
            while len(self._waiting) < MAX_WAITING:
                self._waiting.append((due, os.read(self._tun, MAX_PACKET)))
        self._arm()

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = self._loop.call_at(self._waiting[0][0], self._let_go)

    def _let_go(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting and self._waiting[0][0] <= now + 0.0005:
            due, packet = self._waiting.popleft()
            self.latest_s = max(self.latest_s, now - due)
            self.passed += 1
            with contextlib.suppress(OSError):
                os.write(self._tun, packet)
        self._arm()

    def close(self) -> None:
        self._loop.remove_reader(self._tun)
        if self._timer is not None:
            self._timer.cancel()
        os.close(self._tun)


def _open_tun(namespace: str) -> int:
    """A namespace belongs to a thread: one of its own opens the device there."""
    found: list[int | OSError] = []

    def open_there() -> None:
        try:
            namespaces.enter(namespace)
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            request = struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI)
            fcntl.ioctl(tun, _TUNSETIFF, request)
            found.append(tun)
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=open_there)
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


@contextlib.asynccontextmanager
async def delayed(net: Lan, host: Host, delay_ms: float) -> AsyncIterator[DelayLine | None]:
    """delay_ms each way while inside; 0 changes nothing. One host of a network at a time.

    Raises CommandError, or OSError without /dev/net/tun.
    """
    if not delay_ms:
        yield None
        return
    await ip(net.router, f"tuntap add dev {DEVICE} mode tun", f"link set {DEVICE} up mtu 1500")
    line = DelayLine(_open_tun(net.router), delay_ms)
    rules = (
        f"pref 100 iif {DEVICE} lookup main",
        f"pref 101 iif {host.device} lookup {TABLE}",
        f"pref 102 to {host.address} lookup {TABLE}",
    )
    try:
        await ip(net.router, f"route add default dev {DEVICE} table {TABLE}")
        await ip(net.router, *(f"rule add {rule}" for rule in rules))
        yield line
    finally:
        await ip(net.router, *(f"rule del {rule}" for rule in rules))
        line.close()
        await ip(net.router, f"link del {DEVICE}")

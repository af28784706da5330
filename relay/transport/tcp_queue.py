"""What waits for one TCP connection: three lanes, bounded by bytes and by age, sans-I/O.

A connection that is slower than the picture would grow a queue without end, and TCP would deliver
all of it, late. So the queue is kept here, the kernel's is kept small, and beyond the bounds all
waiting video goes: whole frames up to the next key frame, since the owner is told and holds the
viewer back until then. Checks, DTLS and RTCP go first, then voice, which is kept as long as it is
of use, then video.

choked: video has been thrown away and the connection has not run empty since; video that comes
meanwhile is thrown away too. `on_overflow` is told when it begins, and once more at its end if a
key frame has come and gone in between. So a viewer that never reads again asks for one key frame,
not for one after another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum

from relay.transport.tcp_framing import frame

MAX_VIDEO_BYTES = 256 * 1024
MAX_VIDEO_MS = 500.0
MAX_VOICE_BYTES = 32 * 1024
MAX_VOICE_MS = 1_000.0
"""Voice that is older is played by nobody."""
MAX_CONTROL_BYTES = 32 * 1024


class Lane(IntEnum):
    """In the order of sending."""

    CONTROL = 0
    VOICE = 1
    VIDEO = 2


def lane_of(packet: bytes, voice_ssrcs: frozenset[int]) -> Lane:
    """The lane of a STUN message, a DTLS datagram or a sealed packet (RFC 7983, RFC 5761)."""
    if len(packet) < 12 or not 128 <= packet[0] < 192 or 192 <= packet[1] < 224:
        return Lane.CONTROL
    ssrc = int.from_bytes(packet[8:12], "big")
    return Lane.VOICE if ssrc in voice_ssrcs else Lane.VIDEO


class _Waiting:
    """Frames of one lane and when they came."""

    def __init__(self, max_bytes: int, max_ms: float) -> None:
        self.frames: deque[tuple[bytes, float]] = deque()
        self.octets = 0
        self._max_bytes = max_bytes
        self._max_ms = max_ms

    def push(self, data: bytes, now_ms: float) -> None:
        self.frames.append((data, now_ms))
        self.octets += len(data)

    def pop(self) -> bytes:
        data, _ = self.frames.popleft()
        self.octets -= len(data)
        return data

    def over(self, now_ms: float) -> bool:
        """One of the bounds is passed."""
        return bool(self.frames) and (
            self.octets > self._max_bytes or now_ms - self.frames[0][1] > self._max_ms
        )

    def clear(self) -> int:
        """Throw all away: the number of frames."""
        count = len(self.frames)
        self.frames.clear()
        self.octets = 0
        return count


class FrameQueue:
    """on_overflow(packets, gate): packets were dropped; gate: hold video until a key frame."""

    def __init__(self, on_overflow: Callable[[int, bool], None]) -> None:
        self._lanes = (
            _Waiting(MAX_CONTROL_BYTES, float("inf")),
            _Waiting(MAX_VOICE_BYTES, MAX_VOICE_MS),
            _Waiting(MAX_VIDEO_BYTES, MAX_VIDEO_MS),
        )
        self._on_overflow = on_overflow
        self._lost_since_told = False
        self.choked = False

    def __len__(self) -> int:
        return sum(len(lane.frames) for lane in self._lanes)

    @property
    def octets(self) -> int:
        """Bytes that wait, lengths included."""
        return sum(lane.octets for lane in self._lanes)

    def push(self, packet: bytes, lane: Lane, now_ms: float) -> bool:
        """Queue a packet behind its length. False if it was dropped."""
        if lane is Lane.VIDEO and self.choked:
            self._lost_since_told = True
            self._on_overflow(1, False)
            return False
        self._lanes[lane].push(frame(packet), now_ms)
        return not self._bound(lane, now_ms)

    def take(self, max_bytes: int, now_ms: float) -> tuple[bytes, int]:
        """(bytes to write, packets in them): one packet at least if any waits, in lane order."""
        out: list[bytes] = []
        octets = 0
        for number in Lane:
            self._bound(number, now_ms)
            lane = self._lanes[number]
            while lane.frames and (not out or octets + len(lane.frames[0][0]) <= max_bytes):
                out.append(lane.pop())
                octets += len(out[-1])
            if lane.frames:
                break
        return b"".join(out), len(out)

    def on_empty(self) -> None:
        """All that was taken has been written and nothing waits: the connection keeps up."""
        if not self.choked:
            return
        self.choked = False
        if self._lost_since_told:
            self._lost_since_told = False
            self._on_overflow(0, True)

    def _bound(self, number: Lane, now_ms: float) -> bool:
        """True if the newest packet of the lane had to go."""
        lane = self._lanes[number]
        if not lane.over(now_ms):
            return False
        if number is Lane.VIDEO:
            told, self.choked = self.choked, True
            self._on_overflow(lane.clear(), not told)
            return True
        dropped = 0
        while lane.over(now_ms):
            lane.pop()
            dropped += 1
        self._on_overflow(dropped, False)
        return not lane.frames

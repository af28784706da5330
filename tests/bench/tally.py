"""Counting received RTP by its clear header, for all viewers at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.bench.kernel_io import I64, U8, Received

KINDS = ("audio", "video", "repair")
AUDIO, VIDEO, REPAIR = range(3)
_ROW = 4
"""Counters per viewer: the three kinds and one for payload types nobody negotiated."""


@dataclass(frozen=True)
class TallySnapshot:
    """Counters at one moment; arrays are int64[viewers, 4]."""

    packets: I64
    octets: I64
    highest: I64


@dataclass(frozen=True)
class WindowCount:
    """What came between two snapshots.

    lost: gaps in the viewers' sequence numbers. due: packets if each viewer had got what the best
    served one did; a server may leave out packets without a gap. silent_viewers: got nothing.
    """

    packets: int
    octets: int
    expected: int
    lost: int
    media: int
    due: int
    silent_viewers: int


class Tally:
    """Packets, bytes, highest extended sequence number and first arrival per viewer and kind.

    A viewer's tracks are told apart by payload type: it was offered one for each kind.
    """

    def __init__(self, viewers: int, kind_of_payload_type: dict[int, int]) -> None:
        size = viewers * _ROW
        self.viewers = viewers
        self.packets: I64 = np.zeros(size, np.int64)
        self.octets: I64 = np.zeros(size, np.int64)
        self.highest: I64 = np.full(size, -1, np.int64)
        self.first_ns: I64 = np.zeros(size, np.int64)
        self.ssrc: I64 = np.zeros(size, np.int64)
        self._kind: I64 = np.full(128, _ROW - 1, np.int64)
        for payload_type, kind in kind_of_payload_type.items():
            self._kind[payload_type] = kind

    def add(self, memory: U8, batch: Received) -> npt.NDArray[np.bool_]:
        """Count the RTP of a batch; returns which of its datagrams are RTP."""
        first = memory[batch.offset]
        second = memory[batch.offset + 1]
        is_media = (first & 0xC0 == 0x80) & (batch.length >= 12)
        is_rtp: npt.NDArray[np.bool_] = is_media & ((second < 192) | (second > 223))
        chosen = np.flatnonzero(is_rtp)
        if len(chosen):
            self._count(memory, batch, chosen, second[chosen] & 0x7F)
        return is_rtp

    def _count(
        self, memory: U8, batch: Received, chosen: I64, payload_type: npt.NDArray[Any]
    ) -> None:
        offset = batch.offset[chosen]
        key = batch.viewer[chosen] * _ROW + self._kind[payload_type]
        seq = memory[offset + 2].astype(np.int64) << 8 | memory[offset + 3]
        fresh = np.flatnonzero(self.highest[key] < 0)
        for i in fresh:
            ssrc = int.from_bytes(memory[offset[i] + 8 : offset[i] + 12].tobytes(), "big")
            self._first_packet(int(key[i]), int(seq[i]), ssrc, int(batch.stamp_ns[chosen[i]]))
        # Extended numbers: the nearest to the highest so far (RFC 3550 appendix A.1).
        delta = ((seq - self.highest[key] + 32768) & 0xFFFF) - 32768
        np.maximum.at(self.highest, key, self.highest[key] + delta)
        self.packets += np.bincount(key, minlength=len(self.packets))
        weights = batch.length[chosen]
        self.octets += np.bincount(key, weights, minlength=len(self.octets)).astype(np.int64)

    def _first_packet(self, key: int, seq: int, ssrc: int, stamp_ns: int) -> None:
        if self.highest[key] < 0:
            self.highest[key] = seq + 65536
            self.ssrc[key] = ssrc
            self.first_ns[key] = stamp_ns

    def snapshot(self) -> TallySnapshot:
        shape = (self.viewers, _ROW)
        return TallySnapshot(
            self.packets.reshape(shape).copy(),
            self.octets.reshape(shape).copy(),
            self.highest.reshape(shape).copy(),
        )


def between(before: TallySnapshot, after: TallySnapshot) -> WindowCount:
    """Packets that came and packets that are missing in a window; repairs are not media."""
    packets = after.packets - before.packets
    media = packets[:, [AUDIO, VIDEO]]
    advance = after.highest - before.highest
    expected = np.where(before.highest[:, :2] >= 0, advance[:, :2], media)
    per_viewer = media.sum(axis=1)
    return WindowCount(
        packets=int(packets[:, : REPAIR + 1].sum()),
        octets=int((after.octets - before.octets).sum()),
        expected=int(expected.sum()),
        lost=int(np.maximum(expected - media, 0).sum()),
        media=int(media.sum()),
        due=int(media.max(axis=0, initial=0).sum()) * len(media),
        silent_viewers=int(np.count_nonzero(per_viewer == 0)),
    )

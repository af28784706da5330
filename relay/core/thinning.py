"""Leave out temporal layers above a cap, so that a viewer sees fewer frames and no hole.

A layered stream keeps its lower temporal layers decodable without the higher ones. Leaving out a
packet closes up its sequence number; leaving out a frame closes up its picture id.

    source   10 T0   11 T2   12 T1   13 T2   14 T0
    cap 1    10      –       11      –       12

A number that is not known yet (lost on the way to us, may still be repaired) keeps its place,
because it may belong to a frame that viewers need. If it turns out to be above the cap, its place
stays empty: whoever asks for it gets a packet that carries nothing. Only the newest place is
closed up, so a number once given never changes. One object serves all viewers with one cap.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from relay.core.history import CAPACITY_PACKETS
from relay.core.packet import MediaPacket
from relay.core.serial import Unwrapper

NO_CAP = 7
"""The highest temporal id that any payload format can say: nothing is left out."""

_KEPT = CAPACITY_PACKETS
"""Numbers behind the highest that are still answered, as many as the history holds."""


class ClosedUp:
    """Growing numbers with some taken out and the rest closed up; all numbers extended."""

    __slots__ = ("_forgotten", "_places", "_removed", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self._removed: list[int] = []
        self._places: list[int] = []
        """What `place` says of each removed number: that of the next one kept."""
        self._forgotten = 0

    def keep(self, number: int) -> None:
        """`number` exists and stays."""
        self.highest = max(self.highest, number)

    def remove(self, first: int, last: int) -> bool:
        """Take out first … last; False, and nothing happens, unless all are beyond the highest."""
        if first <= self.highest:
            return False
        place = self.place(first)
        self._removed.extend(range(first, last + 1))
        self._places.extend([place] * (last + 1 - first))
        self.highest = last
        if len(self._removed) > 2 * _KEPT:
            old = bisect_left(self._removed, last - _KEPT)
            del self._removed[:old], self._places[:old]
            self._forgotten += old
        return True

    def place(self, number: int) -> int:
        """Where `number` stands; for one taken out, where the next one kept stands."""
        return number - self._forgotten - bisect_left(self._removed, number)

    def is_removed(self, number: int) -> bool:
        """Whether `number` was taken out."""
        at = bisect_left(self._removed, number)
        return at < len(self._removed) and self._removed[at] == number

    def source_of(self, place: int) -> int:
        """The number that stands at `place`."""
        return place + self._forgotten + bisect_right(self._places, place)


@dataclass(frozen=True, slots=True)
class PictureId:
    """A picture id as on the wire: 7 or 15 bits."""

    value: int
    bits: int


class Thinning:
    """One source as viewers with one cap see it. cap: highest temporal id that they get.

    left_out: frames left out so far, as far as picture ids or timestamps tell.
    """

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.left_out = 0
        self._seqs = ClosedUp()
        self._pictures = ClosedUp()
        self._picture_ids: Unwrapper | None = None
        self._picture_bits = 0
        self._newest: tuple[int, bool] | None = None
        """Timestamp of the packet at the highest place, and whether it was left out."""

    @classmethod
    def of(cls, cap: int, packets: Iterable[tuple[MediaPacket, PictureId | None]]) -> Thinning:
        """As if it had seen `packets`, which come in order of sequence."""
        thinning = cls(cap)
        for packet, picture_id in packets:
            thinning.on_packet(packet, picture_id)
        return thinning

    def on_packet(self, packet: MediaPacket, picture_id: PictureId | None = None) -> None:
        """Take note of a packet of the source; each once, in the order they come."""
        seq, above = packet.seq, packet.temporal_id > self.cap
        if picture_id is not None:
            self._on_picture(picture_id, above=above)
        if seq <= self._seqs.highest:
            return
        newest = (packet.timestamp, above)
        same_frame = self._newest == newest
        if not above:
            self._seqs.keep(seq)
        else:
            # What is missing between two packets of one frame is of that frame too.
            inside = same_frame and self._seqs.highest >= 0
            self._seqs.remove(self._seqs.highest + 1 if inside else seq, seq)
            self.left_out += not same_frame
        self._newest = newest

    def keeps(self, packet: MediaPacket) -> bool:
        """Whether viewers get a packet that was noted."""
        return packet.temporal_id <= self.cap and not self._seqs.is_removed(packet.seq)

    def place(self, seq: int) -> int:
        """The viewers' number of a source number; for one left out, that of the next one kept."""
        return self._seqs.place(seq)

    def source_seq(self, number: int) -> int:
        """The source number at a viewers' number, kept or empty."""
        return self._seqs.source_of(number)

    def picture_place(self, picture_id: PictureId) -> int:
        """The viewers' picture id of a source's picture id, `picture_id.bits` wide."""
        extended = self._extend(picture_id, move=False)
        return self._pictures.place(extended) & ((1 << picture_id.bits) - 1)

    def _on_picture(self, picture_id: PictureId, *, above: bool) -> None:
        extended = self._extend(picture_id, move=True)
        if above:
            self._pictures.remove(extended, extended)
        else:
            self._pictures.keep(extended)

    def _extend(self, picture_id: PictureId, *, move: bool) -> int:
        unwrapper = self._picture_ids
        if unwrapper is None or self._picture_bits != picture_id.bits:
            unwrapper = self._picture_ids = Unwrapper(picture_id.bits)
            self._picture_bits = picture_id.bits
            self._pictures = ClosedUp()
        value = picture_id.value
        return unwrapper.unwrap(value) if move else unwrapper.peek(value)


def next_cap(now: int, wanted: int, switch_up: int, top: int) -> int:
    """The cap from a frame on. switch_up: highest temporal id to which one may go up at it. top:
    the highest that the stream has."""
    if wanted <= now or switch_up >= top:
        return wanted
    return min(wanted, max(now, switch_up))

"""A VP8 stream in three temporal layers, and a receiver that is strict about its references."""

from __future__ import annotations

from relay.core.codecs.vp8 import parse_vp8_descriptor
from relay.core.packet import MediaPacket
from relay.core.router import StreamRouter
from relay.core.rtp import RtpView
from relay.core.thinning import NO_CAP
from tests.simulation.virtual_stream import VP8, VirtualPublisher

LAYERS = (0, 2, 1, 2, 0, 2, 1, 2)
SYNCS = (False, True, True, False, False, False, False, False)


class LayeredPublisher(VirtualPublisher):
    """VP8 as Chromium layers it; frame numbers follow the descriptor."""

    def __init__(
        self,
        router: StreamRouter,
        *,
        picture_id: int = 32_750,
        picture_bits: int = 15,
        tl0: int = 250,
        gop: int = 10_000,
        seq: int = 65_500,
        packets_per_frame: int = 3,
    ) -> None:
        super().__init__(router, codec=VP8, gop=gop, seq=seq, packets_per_frame=packets_per_frame)
        self.picture_id = picture_id
        self.picture_bits = picture_bits
        self.tl0 = tl0

    def next_frame(self, now_ms: float) -> list[MediaPacket]:
        """Packets of the next frame."""
        place = self.frame % self.gop
        layer, sync = LAYERS[place % 8], SYNCS[place % 8]
        if layer == 0:
            self.tl0 = (self.tl0 + 1) & 0xFF
        self.picture_id = (self.picture_id + 1) & ((1 << self.picture_bits) - 1)
        number = self.frame.to_bytes(4, "big")
        return [
            packet._replace(
                payload=self._descriptor(layer, sync, i) + (b"\x01" if place else b"\x00")
                + number + bytes(400 + i),
                temporal_id=layer,
                switch_up=layer if sync and layer else 0 if place else NO_CAP,
            )
            for i, packet in enumerate(super().next_frame(now_ms))
        ]  # fmt: skip

    def _descriptor(self, layer: int, sync: bool, index: int) -> bytes:
        width = 2 if self.picture_bits == 15 else 1
        picture_id = (self.picture_id | (0x8000 if width == 2 else 0)).to_bytes(width, "big")
        head = bytes((0x80 | (0x10 if index == 0 else 0), 0xE0))
        return head + picture_id + bytes((self.tl0, layer << 6 | sync << 5))


def number_of(packet: RtpView) -> int:
    """Frame number of a packet."""
    at = parse_vp8_descriptor(packet.payload).size + 1
    return int.from_bytes(packet.payload[at : at + 4], "big")


class StrictReceiver:
    """Takes whole frames in order and gives each on only if its references are known and no
    picture id below it is missing, as libwebrtc does for VP8 (RFC 7741 section 4.2).

    shown: frame numbers given on. held_back: those that were not, at once.
    """

    def __init__(self) -> None:
        self.shown: list[int] = []
        self.held_back: list[int] = []
        self._last_id: int | None = None
        self._missing: set[int] = set()
        self._layers: dict[int, list[int]] = {}

    def take(self, packets: list[RtpView]) -> None:
        """First packets of frames, in order."""
        for packet in packets:
            descriptor = parse_vp8_descriptor(packet.payload)
            if descriptor.starts_partition:
                self._on_frame(packet)

    def _on_frame(self, packet: RtpView) -> None:
        descriptor = parse_vp8_descriptor(packet.payload)
        assert descriptor.picture_id is not None
        assert descriptor.tl0_picture_index is not None
        key = packet.payload[descriptor.size] & 1 == 0
        size = 1 << descriptor.picture_id_bits
        last = descriptor.picture_id - 1 if self._last_id is None else self._last_id
        ahead = (descriptor.picture_id - last) % size
        picture = last + (ahead if ahead < size // 2 else ahead - size)
        self._missing |= set(range(last + 1, picture))
        self._last_id = max(last, picture)
        tl0, layer = descriptor.tl0_picture_index, descriptor.temporal_id or 0
        known = self._layers.get((tl0 - 1) & 0xFF if layer == 0 else tl0)
        if key:
            known = [-1, -1, -1]
        elif known is None or not self._complete(known, layer, picture, descriptor.layer_sync):
            self.held_back.append(number_of(packet))
            return
        known = list(known)
        known[layer] = picture
        self._layers[tl0] = known
        self._layers.pop((tl0 - 100) & 0xFF, None)
        self.shown.append(number_of(packet))

    def _complete(self, known: list[int], layer: int, picture: int, sync: bool) -> bool:
        if layer == 0 or sync:
            return known[0] >= 0
        wanted = known[: layer + 1]
        return min(wanted) >= 0 and not self._missing & set(range(min(wanted) + 1, picture))

"""Sound that carries the frames before it (RFC 2198): built once for all viewers of one form.

Media is not decoded: the older frames are the very packets that were forwarded before. A packet
that was built is kept, so that a resend is the same to the byte.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from relay.core.codecs.red import MAX_BLOCK_BYTES, MAX_OFFSET_TICKS, RedBlock, build_red
from relay.core.negotiation import CodecParameters
from relay.core.packet import MediaPacket

MAX_LEVEL = 2
MAX_RED_BYTES = 1100
KEPT = 512


@dataclass(frozen=True, slots=True)
class VoiceForm:
    """level: older frames in each packet, 1 … MAX_LEVEL. Payload types as the viewer has them."""

    level: int
    red_type: int
    opus_type: int


def voice_form(codecs: tuple[CodecParameters, ...], level: int) -> VoiceForm | None:
    """The form for a viewer with these codecs; None for plain sound, or where it knows no RED."""
    opus = next((c for c in codecs if c.name == "OPUS"), None)
    if not level or opus is None:
        return None
    blocks = f"{opus.payload_type}/{opus.payload_type}"
    red = next((c for c in codecs if c.name == "RED" and blocks in c.fmtp), None)
    return None if red is None else VoiceForm(level, red.payload_type, opus.payload_type)


class VoiceForms:
    """Packets of one source in every form that viewers take. get: a packet kept, by number."""

    def __init__(self, get: Callable[[int], MediaPacket | None]) -> None:
        self._get = get
        self._built: OrderedDict[tuple[int, VoiceForm], bytes] = OrderedDict()

    def packet(self, packet: MediaPacket, form: VoiceForm) -> MediaPacket:
        """The packet with the frames before it, built at the first call."""
        key = packet.seq, form
        payload = self._built.get(key)
        if payload is None:
            payload = self._build(packet, form)
            self._built[key] = payload
            if len(self._built) > KEPT:
                self._built.popitem(last=False)
        return packet._replace(payload=payload)

    def built(self, packet: MediaPacket, form: VoiceForm) -> MediaPacket | None:
        """The packet as it was sent; None if that is forgotten."""
        payload = self._built.get((packet.seq, form))
        return None if payload is None else packet._replace(payload=payload)

    def _build(self, packet: MediaPacket, form: VoiceForm) -> bytes:
        blocks: list[RedBlock] = []
        room = MAX_RED_BYTES - len(packet.payload)
        for back in range(1, form.level + 1):
            older = self._get(packet.seq - back)
            if older is None:
                break
            offset = packet.timestamp - older.timestamp
            size = len(older.payload)
            if not 0 < offset <= MAX_OFFSET_TICKS or size > min(MAX_BLOCK_BYTES, room):
                break
            room -= size
            blocks.insert(0, RedBlock(form.opus_type, offset, older.payload))
        return build_red([*blocks, RedBlock(form.opus_type, 0, packet.payload)])

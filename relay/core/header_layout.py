"""The RTP header extensions that one viewer negotiated, as bytes ready to copy (RFC 8285).

Viewers with the same ids share a layout, so that one header serves them all. abs-send-time is the
time at which the packet reached us unless the packet is sent out of its time (join burst,
retransmission): a resend of a live packet is then identical to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_AUDIO_LEVEL,
    EXT_MID,
    EXT_TRANSPORT_CC,
    EXT_VIDEO_ORIENTATION,
    MediaNegotiation,
)
from relay.core.packet import MediaPacket

RTP_HEADER_BYTES = 12
ONE_BYTE_PROFILE = b"\xbe\xde"


@dataclass(frozen=True)
class HeaderLayout:
    """Extension ids of one viewer's track; 0 = not negotiated. mid: value of the mid extension."""

    mid_id: int = 0
    mid: bytes = b""
    abs_send_time_id: int = 0
    audio_level_id: int = 0
    orientation_id: int = 0
    transport_cc_id: int = 0

    @classmethod
    def of(cls, media: MediaNegotiation) -> HeaderLayout:
        """The layout of a negotiated section. Ids above 14 need two-byte headers: left out."""

        def id_of(uri: str) -> int:
            number = media.extensions.get(uri, 0)
            return number if 0 < number < 15 else 0

        mid = media.mid.encode()
        return cls(
            mid_id=id_of(EXT_MID) if 0 < len(mid) <= 16 else 0,
            mid=mid,
            abs_send_time_id=id_of(EXT_ABS_SEND_TIME),
            audio_level_id=id_of(EXT_AUDIO_LEVEL),
            orientation_id=id_of(EXT_VIDEO_ORIENTATION),
            transport_cc_id=id_of(EXT_TRANSPORT_CC),
        )

    def block(self, packet: MediaPacket, send_ms: float) -> tuple[bytes, int]:
        """Extension block for one packet and the offset in it of the transport sequence number.

        Returns (block, offset); block is empty when no extension is written, offset 0 when there
        is no transport-cc field.
        """
        parts: list[bytes] = []
        if self.transport_cc_id:
            parts.append(bytes((self.transport_cc_id << 4 | 1, 0, 0)))
        if self.abs_send_time_id:
            parts.append(
                bytes((self.abs_send_time_id << 4 | 2,)) + abs_send_time(send_ms).to_bytes(3, "big")
            )
        if self.mid_id:
            parts.append(bytes((self.mid_id << 4 | len(self.mid) - 1,)) + self.mid)
        if self.audio_level_id and packet.audio_level is not None:
            parts.append(bytes((self.audio_level_id << 4, packet.audio_level)))
        if self.orientation_id and packet.video_orientation is not None:
            parts.append(bytes((self.orientation_id << 4, packet.video_orientation)))
        if not parts:
            return b"", 0
        body = b"".join(parts)
        body += bytes(-len(body) % 4)
        block = ONE_BYTE_PROFILE + (len(body) // 4).to_bytes(2, "big") + body
        return block, 5 if self.transport_cc_id else 0


def abs_send_time(now_ms: float) -> int:
    """24-bit 6.18 fixed-point seconds of the abs-send-time extension."""
    return int(now_ms * 262.144) & 0xFFFFFF

"""The RTCP that a player and an encoder send and must notice (RFC 3550, RFC 4585, REMB)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_NTP_EPOCH_S = 2_208_988_800


def is_rtcp(datagram: bytes) -> bool:
    return len(datagram) >= 8 and datagram[0] & 0xC0 == 0x80 and 192 <= datagram[1] <= 223


def _source_description(ssrc: int) -> bytes:
    return struct.pack("!BBHIBB", 0x81, 202, 3, ssrc, 1, 5) + b"bench" + b"\0"


def receiver_report(own_ssrc: int, blocks: list[tuple[int, int]], bitrate_bps: int) -> bytes:
    """RR, SDES and REMB of a contented player. blocks: (media SSRC, highest extended seq)."""
    report = struct.pack("!BBHI", 0x80 | len(blocks), 201, 1 + 6 * len(blocks), own_ssrc)
    for ssrc, highest in blocks:
        report += struct.pack("!IIIIII", ssrc, 0, highest & 0xFFFFFFFF, 40, 0, 0)
    ssrcs = [ssrc for ssrc, _ in blocks]
    exponent = max(bitrate_bps.bit_length() - 18, 0)
    remb = struct.pack("!BBHII", 0x8F, 206, 4 + len(ssrcs), own_ssrc, 0) + b"REMB"
    remb += struct.pack("!I", len(ssrcs) << 24 | exponent << 18 | bitrate_bps >> exponent)
    remb += b"".join(struct.pack("!I", ssrc) for ssrc in ssrcs)
    return report + _source_description(own_ssrc) + remb


def sender_report(ssrc: int, wall_s: float, timestamp: int, packets: int, octets: int) -> bytes:
    """SR and SDES. timestamp: RTP ticks at wall_s (seconds since the epoch)."""
    ntp = int((wall_s + _NTP_EPOCH_S) * 2**32)
    report = struct.pack(
        "!BBHIQIII",
        0x80,
        200,
        6,
        ssrc,
        ntp & 0xFFFFFFFFFFFFFFFF,
        timestamp & 0xFFFFFFFF,
        packets & 0xFFFFFFFF,
        octets & 0xFFFFFFFF,
    )
    return report + _source_description(ssrc)


def packet_types(compound: bytes) -> Iterator[tuple[int, int]]:
    """(payload type, count or format) of each packet in a clear compound."""
    at = 0
    while at + 4 <= len(compound):
        yield compound[at + 1], compound[at] & 0x1F
        at += 4 + 4 * int.from_bytes(compound[at + 2 : at + 4], "big")


def asks_keyframe(compound: bytes) -> bool:
    """Is there a PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1)?"""
    return any(kind == 206 and form in (1, 4) for kind, form in packet_types(compound))

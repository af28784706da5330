"""Send times carried in the last bytes of a media payload, so that a receiver can tell latency.

The bytes overwrite the tail of coded slices and Opus frames: headers, which servers inspect, stay.
"""

from __future__ import annotations

import struct

_MAGIC = b"wCtS"
_FORMAT = struct.Struct("!4sQ")
STAMP_BYTES = _FORMAT.size
MIN_STAMPED_PAYLOAD_BYTES = 40
"""Shorter payloads may be headers alone: they are left as they are."""


def write_stamp(packet: bytearray, monotonic_ns: int) -> None:
    """Overwrite the tail of a clear RTP packet with its send time (CLOCK_MONOTONIC, ns)."""
    _FORMAT.pack_into(packet, len(packet) - STAMP_BYTES, _MAGIC, monotonic_ns)


def read_stamp(packet: bytes) -> int | None:
    """Send time in ns of a clear RTP packet (its padding removed first), None if unstamped."""
    end = len(packet)
    if packet[0] & 0x20:  # RTP padding, RFC 3550 section 5.1
        end -= packet[-1]
    if end < 12 + STAMP_BYTES:
        return None
    magic, sent_ns = _FORMAT.unpack_from(packet, end - STAMP_BYTES)
    return int(sent_ns) if magic == _MAGIC else None

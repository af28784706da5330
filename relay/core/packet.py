"""One media packet after ingest: what the forwarding core stores and sends.

Sequence number and timestamp are extended (never wrap); they are cut to 16 and 32 bits only at
the wire edge (RFC 3550 section 5.1). The payload is immutable: every viewer shares it.
"""

from __future__ import annotations

from typing import NamedTuple


class MediaPacket(NamedTuple):
    """A depacketised-enough RTP packet of one source.

    A tuple, because one is made for every packet: a frozen dataclass costs four times as much.

    seq: extended sequence number of the source.
    timestamp: extended RTP timestamp of the source, in clock-rate ticks.
    payload: RTP payload without header, extensions or padding, at most 1400 bytes.
    payload_type: payload type as the publisher sent it.
    marker: RTP marker bit.
    keyframe: True on every packet that belongs to a key frame's first packet group start,
        i.e. on the packet at which a decoder may start (video only).
    frame_start: first packet of a frame as far as the payload tells (video; True for audio).
    arrival_ms: monotonic milliseconds at which the datagram was read.
    audio_level: raw RFC 6464 byte (V flag + level) or None.
    video_orientation: raw CVO byte (3GPP TS 26.114) or None.
    temporal_id: temporal layer if the payload or an extension tells, else 0.
    switch_up: highest temporal layer to which a receiver may go up at this packet; says something
        where a frame starts.
    """

    seq: int
    timestamp: int
    payload: bytes
    payload_type: int
    marker: bool
    keyframe: bool
    frame_start: bool
    arrival_ms: float
    audio_level: int | None = None
    video_orientation: int | None = None
    temporal_id: int = 0
    switch_up: int = 0

"""Decoding for `wardcast watch --decode`: proves that what arrives is a picture, and how old."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import av
import av.error
import numpy as np
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload

from hub.source.time_strip import read_strip
from relay.core.negotiation import CodecParameters, PublisherNegotiation
from relay.core.rtp import RtpError, parse_rtp

_DEPAYLOAD: dict[str, Callable[[bytes], bytes]] = {"H264": h264_depayload, "VP8": vp8_depayload}
_DECODER = {"H264": "h264", "VP8": "vp8"}
MAX_FRAME_PACKETS = 1000


class PictureCheck:
    """Feeds on clear RTP in order of arrival; a frame with a hole is not decoded.

    pictures: decoded so far. latency_ms: of the last test picture with a readable time strip, from
    drawing to decoding, on machines whose clocks agree; None without one. failed: frames that the
    decoder refused or that were incomplete.
    """

    def __init__(self, negotiation: PublisherNegotiation) -> None:
        self._negotiation: PublisherNegotiation | None = None
        self._codecs: dict[int, CodecParameters] = {}
        self._decoder: Any = None
        self._decoder_name = ""
        self._packets: dict[int, bytes] = {}
        self._next_seq: int | None = None
        self.pictures = 0
        self.failed = 0
        self.latency_ms: float | None = None
        self.follow(negotiation)

    def follow(self, negotiation: PublisherNegotiation) -> None:
        """Packets now come from the session that has this negotiation; a new one starts afresh."""
        if negotiation is self._negotiation:
            return
        self._negotiation = negotiation
        self._packets.clear()
        self._next_seq = None
        self._codecs = {
            codec.payload_type: codec
            for media in negotiation.media
            for codec in media.codecs
            if codec.name in _DECODER
        }

    def on_media(self, packets: Sequence[bytes], now_ms: float) -> None:
        """Clear packets of one batch; what is not video is let pass."""
        for packet in packets:
            try:
                view = parse_rtp(packet)
            except RtpError:
                continue
            codec = self._codecs.get(view.payload_type)
            if codec is None or not view.payload:
                continue
            if self._next_seq is None:
                self._next_seq = view.seq
            self._packets[view.seq] = packet
            if view.marker:
                self._finish(codec, view.seq)
            elif len(self._packets) > MAX_FRAME_PACKETS:
                self._packets.clear()
                self._next_seq = None

    def _finish(self, codec: CodecParameters, last: int) -> None:
        """The frame that ends with sequence number `last`."""
        first = self._next_seq if self._next_seq is not None else last
        count = ((last - first) & 0xFFFF) + 1
        wanted = [(first + index) & 0xFFFF for index in range(min(count, MAX_FRAME_PACKETS))]
        frame = [self._packets[seq] for seq in wanted if seq in self._packets]
        self._packets.clear()
        self._next_seq = (last + 1) & 0xFFFF
        if len(frame) < count:
            self.failed += 1
            return
        try:
            data = b"".join(_DEPAYLOAD[codec.name](parse_rtp(packet).payload) for packet in frame)
            self._decode(codec.name, data)
        except (ValueError, av.error.FFmpegError):
            self.failed += 1

    def _decode(self, name: str, data: bytes) -> None:
        if self._decoder_name != name:
            self._decoder = av.CodecContext.create(_DECODER[name], "r")
            self._decoder_name = name
        for picture in self._decoder.decode(av.Packet(data)):
            self.pictures += 1
            luma = np.asarray(picture.reformat(format="gray").to_ndarray())
            drawn_ms = read_strip(luma)
            if drawn_ms is not None:
                self.latency_ms = round(time.time() * 1000 - drawn_ms, 1)

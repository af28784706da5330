"""A viewer's reception of one WHEP session: which SSRC is what, figures, reports (sans-I/O).

Works from RTP headers, which SRTP leaves in the clear; RTX is unwrapped only when the payload is
given in the clear too.
"""

from __future__ import annotations

import secrets
from struct import Struct

from relay.client.header_stats import HeaderStats
from relay.core.negotiation import CodecParameters, Kind, PublisherNegotiation
from relay.core.rtcp import (
    Nack,
    PictureLoss,
    ReceiverReport,
    ReportBlock,
    RtcpError,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    encode,
    middle_ntp,
    parse_compound,
)

MAX_SSRCS = 16
"""SSRCs followed per session; a server of ours uses one a track."""

_HEADER = Struct("!xBHII")
_HEADER_BYTES = 12
_FIRST_RTCP, _LAST_RTCP = 192, 223
"""Second byte of RTCP packets (RFC 5761 section 4)."""


class ViewerReception:
    """negotiation: the answered sections. local_ssrc: ours in reports, random if not given."""

    def __init__(self, negotiation: PublisherNegotiation, local_ssrc: int | None = None) -> None:
        self._local_ssrc = local_ssrc or secrets.randbits(32) | 1
        self._cname = secrets.token_hex(6)
        self._codecs: dict[int, tuple[Kind, CodecParameters]] = {}
        self._rtx: dict[int, int] = {}
        for media in negotiation.media:
            for codec in media.codecs:
                self._codecs[codec.payload_type] = (media.kind, codec)
                if codec.rtx_payload_type is not None:
                    self._rtx[codec.rtx_payload_type] = codec.payload_type
        self._stats: dict[int, HeaderStats] = {}
        self._kinds: dict[int, Kind] = {}
        self._reports: dict[int, tuple[int, float]] = {}
        self.wire_bytes = 0
        self.ignored = 0
        self.malformed_rtcp = 0

    def stats(self, kind: Kind) -> HeaderStats | None:
        """The figures of the stream of that kind that came last."""
        found = [s for ssrc, s in self._stats.items() if self._kinds[ssrc] == kind]
        return max(found, key=lambda s: s.last_ms, default=None)

    def all_stats(self) -> list[HeaderStats]:
        """Figures of every SSRC followed."""
        return list(self._stats.values())

    def on_packet(self, packet: bytes | memoryview, offset: int, size: int, now_ms: float) -> None:
        """One RTP or SRTP packet at packet[offset:offset + size], by its header alone."""
        if size < _HEADER_BYTES:
            self.ignored += 1
            return
        self.wire_bytes += size
        payload_type, seq, timestamp, ssrc = _HEADER.unpack_from(packet, offset)
        stats = self._stats.get(ssrc)
        if stats is None:
            stats = self._follow(payload_type & 0x7F, ssrc)
            if stats is None:
                return
        stats.on_packet(seq, timestamp, size, now_ms)

    def on_train(
        self, data: memoryview, size: int, segment: int, now_ms: float
    ) -> list[tuple[int, int]]:
        """Packets of `segment` bytes each, the last one shorter, in data[:size].

        Returns (offset, length) of the RTCP packets among them, which are not counted.
        """
        rtcp: list[tuple[int, int]] = []
        known, unpack = self._stats, _HEADER.unpack_from
        at = 0
        # The last packet may be shorter than a header; the others are as long as the first.
        while at + _HEADER_BYTES <= size:
            payload_type, seq, timestamp, ssrc = unpack(data, at)
            length = segment if at + segment <= size else size - at
            if _FIRST_RTCP <= payload_type <= _LAST_RTCP:
                rtcp.append((at, length))
            else:
                stats = known.get(ssrc) or self._follow(payload_type & 0x7F, ssrc)
                if stats is not None:
                    self.wire_bytes += length
                    stats.on_packet(seq, timestamp, length, now_ms)
            at += segment
        return rtcp

    def on_clear(self, packets: list[bytes], now_ms: float) -> None:
        """Clear packets of one batch; repairs are credited to the stream that they mend."""
        for packet in packets:
            if len(packet) >= 14 and packet[1] & 0x7F in self._rtx:
                self.wire_bytes += len(packet)
                self._on_rtx(packet)
            else:
                self.on_packet(packet, 0, len(packet), now_ms)

    def on_rtcp(self, data: bytes, now_ms: float) -> list[RtcpPacket]:
        """A clear compound packet; SRs are remembered for our reports."""
        try:
            packets = parse_compound(data)
        except RtcpError:
            self.malformed_rtcp += 1
            return []
        for packet in packets:
            if isinstance(packet, SenderReport) and packet.ssrc in self._stats:
                self._reports[packet.ssrc] = (middle_ntp(packet.ntp_timestamp), now_ms)
        return packets

    def report(self, now_ms: float) -> bytes:
        """Receiver report over all streams, with SDES."""
        blocks = tuple(self._block(ssrc, s, now_ms) for ssrc, s in self._stats.items())
        return encode(
            [
                ReceiverReport(self._local_ssrc, blocks),
                SourceDescription.of_cname(self._local_ssrc, self._cname),
            ]
        )

    def nacks(self, now_ms: float) -> bytes | None:
        """What is missing, as one compound packet, or None."""
        wanted = [
            Nack(self._local_ssrc, ssrc, seqs)
            for ssrc, stats in self._stats.items()
            if stats.missing and (seqs := stats.to_nack(now_ms))
        ]
        return encode([ReceiverReport(self._local_ssrc), *wanted]) if wanted else None

    def picture_loss(self) -> bytes | None:
        """A request for a key frame of the video, None before any video came."""
        for ssrc, kind in self._kinds.items():
            if kind == "video":
                return encode(
                    [ReceiverReport(self._local_ssrc), PictureLoss(self._local_ssrc, ssrc)]
                )
        return None

    def _follow(self, payload_type: int, ssrc: int) -> HeaderStats | None:
        known = self._codecs.get(payload_type)
        if known is None or len(self._stats) >= MAX_SSRCS:
            self.ignored += 1
            return None
        kind, codec = known
        self._kinds[ssrc] = kind
        self._stats[ssrc] = stats = HeaderStats(codec.clock_rate)
        return stats

    def _on_rtx(self, packet: bytes) -> None:
        """RFC 4588: the original sequence number is the payload's first two bytes."""
        kind = self._codecs[self._rtx[packet[1] & 0x7F]][0]
        at = _payload_offset(packet)
        if at + 2 > len(packet):
            self.ignored += 1
            return
        seq = packet[at] << 8 | packet[at + 1]
        stats = self.stats(kind)
        if stats is not None:
            stats.on_repair(seq)

    def _block(self, ssrc: int, stats: HeaderStats, now_ms: float) -> ReportBlock:
        last_sr, received_ms = self._reports.get(ssrc, (0, now_ms))
        delay = round((now_ms - received_ms) * 65.536) if last_sr else 0
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=stats.fraction_lost(),
            packets_lost=stats.lost,
            # The statistics begin one cycle up.
            highest_seq=(stats.highest_seq - 0x10000) & 0xFFFFFFFF,
            jitter=round(stats.jitter_ticks),
            last_sr=last_sr,
            delay_since_last_sr=delay,
        )


def _payload_offset(packet: bytes) -> int:
    """Offset behind header, contributing sources and extensions (at or beyond the end if cut)."""
    at = _HEADER_BYTES + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        if at + 4 > len(packet):
            return len(packet)
        at += 4 + 4 * (packet[at + 2] << 8 | packet[at + 3])
    return at

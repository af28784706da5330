"""The sending half of a publisher's connection: streams, repair, reports, rate (sans-I/O).

Feed it units and RTCP; it hands out packets. The shell (`hub.source.publisher`) owns time and the
socket.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence

from hub.source.rate import RateController
from hub.source.rtp_sender import Outgoing, RtpSender, TransportSequence
from hub.source.units import EncodedUnit, Feed
from relay.client.offered import Ssrcs
from relay.core.negotiation import Kind, MediaNegotiation, PublisherNegotiation
from relay.core.rtcp import (
    Bye,
    FullIntraRequest,
    Nack,
    PictureLoss,
    ReceiverReport,
    Remb,
    ReportBlock,
    RtcpError,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    TransportFeedback,
    encode,
    ntp_from_seconds,
    parse_compound,
    round_trip_ms,
)
from relay.signalling.client_offer import OfferedLayer

NTP_EPOCH_OFFSET_S = 2_208_988_800
"""From 1900 to 1970."""


class MediaSender:
    """One connection's senders.

    negotiation: the accepted sections. ssrcs: kind → (media SSRC, RTX SSRC or None) as offered.
    layers: of the picture as offered, richest first; empty for one. full_bps: the encoders' rate
    on a good line. senders: by kind and layer.
    """

    def __init__(
        self,
        feed: Feed,
        negotiation: PublisherNegotiation,
        ssrcs: Ssrcs,
        *,
        full_bps: int,
        now_ms: float,
        layers: Sequence[OfferedLayer] = (),
    ) -> None:
        self._feed = feed
        self._rate = RateController(full_bps, now_ms)
        self._cname = secrets.token_hex(8)
        counter = TransportSequence()
        self.senders: dict[tuple[Kind, int], RtpSender] = {}
        for media in negotiation.media:
            if media.codecs:
                for sender in _senders(media, counter, ssrcs[media.kind], layers):
                    self.senders[media.kind, sender.layer] = sender
        self.rtt_ms: float | None = None
        self.loss = 0.0
        self.keyframes_asked = 0
        self.malformed_rtcp = 0

    @property
    def target_bps(self) -> int:
        """Video rate that the line is thought to carry."""
        return self._rate.target_bps

    def packetize(self, unit: EncodedUnit) -> list[Outgoing]:
        """The unit's packets, or none if its kind was not negotiated."""
        sender = self.senders.get((unit.kind, unit.layer))
        return sender.packetize(unit) if sender else []

    def reports(self, epoch_s: float, media_s: float) -> list[bytes]:
        """One SR + SDES compound for each stream; both at the same instant."""
        return [
            encode(
                [
                    sender.sender_report(epoch_s + NTP_EPOCH_OFFSET_S, media_s),
                    SourceDescription.of_cname(sender.ssrc, self._cname),
                ]
            )
            for sender in self.senders.values()
            if sender.packets_sent
        ]

    def goodbye(self) -> bytes | None:
        """A compound with BYE for all streams, None if there are none."""
        ssrcs = tuple(sender.ssrc for sender in self.senders.values())
        return encode([ReceiverReport(ssrcs[0]), Bye(ssrcs)]) if ssrcs else None

    def on_rtcp(
        self, data: bytes, epoch_s: float, now_ms: float, send: Callable[[bytes], None]
    ) -> None:
        """Feedback from the receiver; repairs go out through `send` at once."""
        try:
            packets = parse_compound(data)
        except RtcpError:
            self.malformed_rtcp += 1
            return
        for packet in packets:
            self._on_packet(packet, epoch_s, now_ms, send)
        self._feed.set_bitrate(self._rate.target_bps)

    def _on_packet(
        self, packet: RtcpPacket, epoch_s: float, now_ms: float, send: Callable[[bytes], None]
    ) -> None:
        if isinstance(packet, (ReceiverReport, SenderReport)):
            self._on_blocks(packet.reports, epoch_s, now_ms)
        elif isinstance(packet, Nack):
            for sender in self.senders.values():
                if sender.ssrc == packet.media_ssrc:
                    for repair in sender.retransmit(packet.seqs, now_ms):
                        send(repair)
        elif isinstance(packet, (PictureLoss, FullIntraRequest)):
            # The encoder limits the rate; a second request during the gap waits there.
            self.keyframes_asked += 1
            for layer in self._asked_layers(packet):
                self._feed.request_keyframe(layer)
        elif isinstance(packet, Remb):
            self._rate.on_remb(packet.bitrate_bps, now_ms)
        elif isinstance(packet, TransportFeedback):
            lost = sum(delta is None for delta in packet.deltas)
            self._rate.on_transport_feedback(len(packet.deltas) - lost, lost, now_ms)

    def _asked_layers(self, packet: PictureLoss | FullIntraRequest) -> list[int | None]:
        """Layers of which a key frame is wanted; all, if the SSRC says nothing."""
        ssrcs = (
            {packet.media_ssrc}
            if isinstance(packet, PictureLoss)
            else {ssrc for ssrc, _ in packet.entries}
        )
        layers = [s.layer for s in self.senders.values() if s.kind == "video" and s.ssrc in ssrcs]
        return list(layers) or [None]

    def _on_blocks(self, blocks: Iterable[ReportBlock], epoch_s: float, now_ms: float) -> None:
        received = ntp_from_seconds(epoch_s + NTP_EPOCH_OFFSET_S)
        for block in blocks:
            for sender in self.senders.values():
                if sender.ssrc != block.ssrc:
                    continue
                rtt = round_trip_ms(block, received)
                self.rtt_ms = rtt if rtt is not None else self.rtt_ms
                if sender.kind == "video" and sender.layer == 0:
                    self.loss = block.fraction_lost / 256
                    self._rate.on_loss(self.loss, now_ms)


def _senders(
    media: MediaNegotiation,
    counter: TransportSequence,
    ssrcs: tuple[int, int | None],
    layers: Sequence[OfferedLayer],
) -> list[RtpSender]:
    """One for each layer that the server takes; the first alone where it takes none by name."""
    if media.kind == "audio" or not media.rids:
        return [RtpSender(media, counter, ssrc=ssrcs[0], rtx_ssrc=ssrcs[1])]
    return [
        RtpSender(media, counter, ssrc=x.ssrc, rtx_ssrc=x.rtx_ssrc, rid=x.rid, layer=i)
        for i, x in enumerate(layers)
        if x.rid in media.rids
    ]

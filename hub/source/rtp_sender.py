"""One outgoing RTP stream: numbers, header extensions, repair and sender reports (sans-I/O).

Packets get their sequence number and send time when they are sent, not when they are queued, so
that pacing shows in abs-send-time and the order on the wire is the order of the numbers.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from hub.source.packetizers import H264Packetizer, OpusPacketizer, Packetizer, Vp8Packetizer
from hub.source.units import EncodedUnit
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_AUDIO_LEVEL,
    EXT_MID,
    EXT_REPAIRED_RID,
    EXT_RID,
    EXT_TRANSPORT_CC,
    CodecParameters,
    MediaNegotiation,
)
from relay.core.rtcp import SenderReport, ntp_from_seconds
from relay.core.rtp import build_rtp

HISTORY_MS = 1500.0
HISTORY_PACKETS = 2048
RESEND_GAP_MS = 25.0
"""The same packet is not sent again within this time, however often it is asked for."""


@dataclass(slots=True)
class TransportSequence:
    """Transport-wide sequence numbers: one counter for all streams of a transport."""

    next: int = 0

    def take(self) -> bytes:
        number, self.next = self.next, (self.next + 1) & 0xFFFF
        return number.to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A packet that waits for its turn."""

    sender: RtpSender
    payload: bytes
    timestamp: int
    marker: bool
    audio_level: int | None = None


@dataclass(slots=True)
class _Sent:
    packet: bytes
    outgoing: Outgoing
    sent_ms: float
    resent_ms: float = float("-inf")


class RtpSender:
    """Sends one negotiated section with one codec.

    media: the section as answered; its first codec is used. transport_sequence: shared between
    the senders of a connection. ssrc, rtx_ssrc: as offered. rid: of the layer, if there are
    several; layer: its number.
    """

    def __init__(
        self,
        media: MediaNegotiation,
        transport_sequence: TransportSequence,
        *,
        ssrc: int,
        rtx_ssrc: int | None,
        rid: str = "",
        layer: int = 0,
    ) -> None:
        self.kind = media.kind
        self.layer = layer
        self.codec: CodecParameters = media.codecs[0]
        self.ssrc = ssrc
        self.rtx_ssrc = rtx_ssrc if self.codec.rtx_payload_type is not None else None
        self.packets_sent = 0
        self.octets_sent = 0
        self.bytes_sent = 0
        self.retransmitted = 0
        self._transport_sequence = transport_sequence
        self._packetizer = _packetizer_for(self.codec.name)
        self._seq = secrets.randbelow(1 << 15)
        self._rtx_seq = secrets.randbelow(1 << 15)
        self._timestamp_base = secrets.randbits(31)
        self._history: OrderedDict[int, _Sent] = OrderedDict()
        self._mid_id = media.extensions.get(EXT_MID)
        self._mid = media.mid.encode()
        self._rid = rid.encode()
        self._rid_id = media.extensions.get(EXT_RID) if rid else None
        self._repaired_rid_id = media.extensions.get(EXT_REPAIRED_RID) if rid else None
        self._send_time_id = media.extensions.get(EXT_ABS_SEND_TIME)
        self._level_id = media.extensions.get(EXT_AUDIO_LEVEL)
        self._transport_cc_id = media.extensions.get(EXT_TRANSPORT_CC)

    def packetize(self, unit: EncodedUnit) -> list[Outgoing]:
        """The unit as packets to be built one by one, in order."""
        payloads = self._packetizer.packetize(unit.data, keyframe=unit.keyframe)
        timestamp = self.timestamp_at(unit.media_s)
        last = len(payloads) - 1
        video = self.kind == "video"
        return [
            Outgoing(self, payload, timestamp, video and index == last, unit.audio_level)
            for index, payload in enumerate(payloads)
        ]

    def timestamp_at(self, media_s: float) -> int:
        """Extended RTP timestamp of a media second."""
        return self._timestamp_base + round(media_s * self.codec.clock_rate)

    def build(self, outgoing: Outgoing, now_ms: float) -> bytes:
        """The RTP packet, sent at monotonic `now_ms`; kept for retransmission."""
        packet = build_rtp(
            payload_type=self.codec.payload_type,
            seq=self._seq,
            timestamp=outgoing.timestamp,
            ssrc=self.ssrc,
            payload=outgoing.payload,
            marker=outgoing.marker,
            extensions=self._extensions(outgoing, now_ms),
        )
        self._history[self._seq & 0xFFFF] = _Sent(packet, outgoing, now_ms)
        self._forget(now_ms)
        self._seq += 1
        self.packets_sent += 1
        self.octets_sent += len(outgoing.payload)
        self.bytes_sent += len(packet)
        return packet

    def retransmit(self, seqs: Iterable[int], now_ms: float) -> list[bytes]:
        """Answers to a NACK: RTX (RFC 4588) if negotiated, else the very same packets again."""
        packets = []
        for seq in seqs:
            sent = self._history.get(seq)
            if sent is None or now_ms - sent.resent_ms < RESEND_GAP_MS:
                continue
            sent.resent_ms = now_ms
            packets.append(self._repair(seq, sent, now_ms))
        self.retransmitted += len(packets)
        self.bytes_sent += sum(map(len, packets))
        return packets

    def sender_report(self, ntp_seconds: float, media_s: float) -> SenderReport:
        """SR that says: `media_s` is now, and now is `ntp_seconds` since 1900."""
        return SenderReport(
            ssrc=self.ssrc,
            ntp_timestamp=ntp_from_seconds(ntp_seconds),
            rtp_timestamp=self.timestamp_at(media_s) & 0xFFFFFFFF,
            packet_count=self.packets_sent & 0xFFFFFFFF,
            octet_count=self.octets_sent & 0xFFFFFFFF,
        )

    def _repair(self, seq: int, sent: _Sent, now_ms: float) -> bytes:
        if self.rtx_ssrc is None or self.codec.rtx_payload_type is None:
            # Byte for byte: another content under the same SRTP index would break its cipher.
            return sent.packet
        packet = build_rtp(
            payload_type=self.codec.rtx_payload_type,
            seq=self._rtx_seq,
            timestamp=sent.outgoing.timestamp,
            ssrc=self.rtx_ssrc,
            payload=seq.to_bytes(2, "big") + sent.outgoing.payload,
            marker=sent.outgoing.marker,
            extensions=self._extensions(sent.outgoing, now_ms, repair=True),
        )
        self._rtx_seq += 1
        return packet

    def _extensions(
        self, outgoing: Outgoing, now_ms: float, *, repair: bool = False
    ) -> dict[int, bytes]:
        values: dict[int, bytes] = {}
        if self._mid_id is not None:
            values[self._mid_id] = self._mid
        rid_id = self._repaired_rid_id if repair else self._rid_id
        if rid_id is not None:
            values[rid_id] = self._rid
        if self._send_time_id is not None:
            values[self._send_time_id] = abs_send_time(now_ms)
        if self._transport_cc_id is not None:
            values[self._transport_cc_id] = self._transport_sequence.take()
        if self._level_id is not None and outgoing.audio_level is not None:
            voice = 0x80 if outgoing.audio_level < 60 else 0
            values[self._level_id] = bytes((voice | outgoing.audio_level,))
        return values

    def _forget(self, now_ms: float) -> None:
        while self._history:
            seq, oldest = next(iter(self._history.items()))
            if len(self._history) <= HISTORY_PACKETS and now_ms - oldest.sent_ms <= HISTORY_MS:
                return
            del self._history[seq]


def abs_send_time(now_ms: float) -> bytes:
    """24 bits of 6.18 fixed-point seconds."""
    return (int(now_ms * 262.144) & 0xFFFFFF).to_bytes(3, "big")


def _packetizer_for(codec: str) -> Packetizer:
    if codec == "H264":
        return H264Packetizer()
    if codec == "VP8":
        return Vp8Packetizer(first_picture_id=secrets.randbits(15))
    if codec == "OPUS":
        return OpusPacketizer()
    raise ValueError(f"no packetizer for {codec}")

"""A publisher for ingest tests: negotiations, payloads and a sender of RTP packets."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.core.ingest import PublisherIngest
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    EXT_AUDIO_LEVEL,
    EXT_MID,
    EXT_REPAIRED_RID,
    EXT_RID,
    EXT_TRANSPORT_CC,
    EXT_VIDEO_ORIENTATION,
    CodecParameters,
    MediaNegotiation,
    PublisherNegotiation,
)
from relay.core.rtcp import RtcpPacket, parse_compound
from relay.core.rtp import build_rtp

LOCAL_SSRC = 0xABCD
AUDIO_SSRC, VIDEO_SSRC, RTX_SSRC = 1001, 2001, 2002
OPUS_PT, VP8_PT, H264_PT, RTX_PT = 111, 96, 102, 97
MID_ID, TWCC_ID, RID_ID, RRID_ID, LEVEL_ID, CVO_ID, AST_ID = 1, 2, 3, 4, 5, 6, 7
EXTENSIONS = {
    EXT_MID: MID_ID,
    EXT_TRANSPORT_CC: TWCC_ID,
    EXT_RID: RID_ID,
    EXT_REPAIRED_RID: RRID_ID,
    EXT_AUDIO_LEVEL: LEVEL_ID,
    EXT_VIDEO_ORIENTATION: CVO_ID,
    EXT_ABS_SEND_TIME: AST_ID,
}
FULL_FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "goog-remb"})

VP8_KEY = b"\x10\x10\x02\x00\x9d\x01\x2a\x00\x05\xd0\x02" + bytes(100)
VP8_DELTA = b"\x10\x11\x02\x00" + bytes(100)
VP8_MORE = b"\x00" + bytes(100)
SPS = b"\x67\x42\xe0\x1f\xda\x02\x80\xf6\x80\x6d\x0a\x13\x50"
PPS = b"\x68\xce\x06\xe2"
IDR = b"\x65\x88\x84" + bytes(100)
H264_DELTA = b"\x41\x9a\x02" + bytes(100)

OPUS = CodecParameters(OPUS_PT, "OPUS", 48_000, 2)
VP8 = CodecParameters(VP8_PT, "VP8", 90_000, rtcp_feedback=FULL_FEEDBACK, rtx_payload_type=RTX_PT)
H264 = CodecParameters(
    H264_PT,
    "H264",
    90_000,
    fmtp={"packetization-mode": "1", "profile-level-id": "42e01f"},
    rtcp_feedback=FULL_FEEDBACK,
    rtx_payload_type=RTX_PT,
)


def negotiation(
    video: tuple[CodecParameters, ...] = (VP8,),
    *,
    extensions: dict[str, int] | None = None,
    ssrcs: tuple[int, ...] = (),
    rtx_ssrcs: dict[int, int] | None = None,
    rids: tuple[str, ...] = (),
) -> PublisherNegotiation:
    """One audio and one video section."""
    shared = EXTENSIONS if extensions is None else extensions
    return PublisherNegotiation(
        (
            MediaNegotiation(0, "a", "audio", (OPUS,), shared),
            MediaNegotiation(1, "v", "video", video, shared, ssrcs, rtx_ssrcs or {}, rids),
        )
    )


def ingest(settled: PublisherNegotiation | None = None, now_ms: float = 0.0) -> PublisherIngest:
    """An ingest for a negotiation, VP8 and Opus if not told otherwise."""
    return PublisherIngest(settled or negotiation(), LOCAL_SSRC, now_ms)


@dataclass
class Sender:
    """Builds consecutive RTP packets of one stream."""

    ssrc: int = VIDEO_SSRC
    payload_type: int = VP8_PT
    seq: int = 1000
    timestamp: int = 90_000
    extensions: dict[int, bytes] = field(default_factory=dict)

    def packet(
        self,
        payload: bytes = VP8_MORE,
        *,
        marker: bool = False,
        padding_bytes: int = 0,
        extensions: dict[int, bytes] | None = None,
    ) -> bytes:
        """The next packet."""
        data = build_rtp(
            payload_type=self.payload_type,
            seq=self.seq,
            timestamp=self.timestamp,
            ssrc=self.ssrc,
            payload=payload,
            marker=marker,
            extensions={**self.extensions, **(extensions or {})},
            padding_bytes=padding_bytes,
        )
        self.seq += 1
        return data

    def frame(self, *payloads: bytes, ticks: int = 3000) -> list[bytes]:
        """All packets of a frame; the clock moves on by `ticks` afterwards."""
        last = len(payloads) - 1
        packets = [self.packet(p, marker=i == last) for i, p in enumerate(payloads)]
        self.timestamp += ticks
        return packets

    def padding(self) -> bytes:
        """A bandwidth probe that carries nothing."""
        return self.packet(b"", padding_bytes=200)


def rtx(original: bytes, rtx_seq: int, ssrc: int = RTX_SSRC, **extensions: bytes) -> bytes:
    """RFC 4588 repair of a packet that was built without extensions."""
    return build_rtp(
        payload_type=RTX_PT,
        seq=rtx_seq,
        timestamp=int.from_bytes(original[4:8], "big"),
        ssrc=ssrc,
        payload=original[2:4] + original[12:],
        marker=bool(original[1] & 0x80),
        extensions={RRID_ID: extensions["rrid"]} if extensions else None,
    )


def sent(target: PublisherIngest, now_ms: float) -> list[RtcpPacket]:
    """All RTCP packets that a drain at `now_ms` yields."""
    return [packet for data in target.poll_rtcp(now_ms) for packet in parse_compound(data)]

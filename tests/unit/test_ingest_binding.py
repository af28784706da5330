"""Which source a packet is of: mid, rid, SSRC, payload type, repair streams."""

import dataclasses

import pytest

from relay.core.drops import DropReason
from relay.core.ingest import MAX_SOURCES, PublisherIngest
from relay.core.negotiation import (
    EXT_RID,
    CodecParameters,
    MediaNegotiation,
    PublisherNegotiation,
)
from tests.unit.ingest_fixtures import (
    AUDIO_SSRC,
    CVO_ID,
    EXTENSIONS,
    FULL_FEEDBACK,
    LEVEL_ID,
    MID_ID,
    OPUS_PT,
    RID_ID,
    RTX_PT,
    RTX_SSRC,
    VIDEO_SSRC,
    VP8,
    VP8_DELTA,
    VP8_KEY,
    VP8_PT,
    Sender,
    ingest,
    negotiation,
    rtx,
)


def layer(rid: str, ssrc: int, seq: int = 100) -> Sender:
    return Sender(ssrc, seq=seq, extensions={MID_ID: b"v", RID_ID: rid.encode()})


def test_payload_type_is_enough_when_only_one_section_has_it() -> None:
    target = ingest(negotiation(extensions={}))
    out = target.on_rtp(
        [Sender(AUDIO_SSRC, OPUS_PT).packet(b"\xfcvoice"), Sender().packet(VP8_KEY)], 5.0
    )
    assert [(s.kind, s.mid, s.rid, s.ssrc, s.codec.name) for s, _ in out] == [
        ("audio", "a", None, AUDIO_SSRC, "OPUS"),
        ("video", "v", None, VIDEO_SSRC, "VP8"),
    ]
    audio, video = (packet for _, packet in out)
    assert (audio.frame_start, audio.keyframe) == (True, False)
    assert (video.frame_start, video.keyframe) == (True, True)
    assert not target.drops
    assert target.last_packet_ms == 5.0


def two_videos(ssrcs: tuple[int, ...] = ()) -> PublisherNegotiation:
    camera = MediaNegotiation(0, "cam", "video", (VP8,), EXTENSIONS, ssrcs)
    slides = MediaNegotiation(1, "slides", "video", (VP8,), EXTENSIONS)
    return PublisherNegotiation((camera, slides))


def test_mid_tells_sections_apart() -> None:
    target = ingest(two_videos())
    packets = [
        Sender(1, extensions={MID_ID: b"slides"}).packet(VP8_KEY),
        Sender(2, extensions={MID_ID: b"cam"}).packet(VP8_KEY),
    ]
    assert [source.mid for source, _ in target.on_rtp(packets, 0.0)] == ["slides", "cam"]


def test_signalled_ssrc_tells_sections_apart() -> None:
    target = ingest(two_videos(ssrcs=(7,)))
    ((source, _),) = target.on_rtp([Sender(7).packet(VP8_KEY)], 0.0)
    assert source.mid == "cam"


def test_ambiguous_payload_type_waits_for_a_mid() -> None:
    target = ingest(two_videos())
    sender = Sender(1)
    assert target.on_rtp([sender.packet(VP8_KEY)], 0.0) == []
    assert target.drops == {DropReason.UNKNOWN_SSRC: 1}
    assert target.on_rtp([sender.packet(VP8_DELTA, extensions={MID_ID: b"cam"})], 0.0)
    assert target.on_rtp([sender.packet(VP8_DELTA)], 0.0)  # known by its SSRC from now on


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (Sender(payload_type=50).packet(), DropReason.UNKNOWN_PAYLOAD_TYPE),
        (Sender(extensions={MID_ID: b"zz"}).packet(), DropReason.UNKNOWN_SSRC),
        (Sender(extensions={MID_ID: b"a"}).packet(), DropReason.UNKNOWN_PAYLOAD_TYPE),
        (Sender(RTX_SSRC, RTX_PT).packet(b"\x00\x01\x02"), DropReason.RTX_UNKNOWN),
        (b"not rtp", DropReason.MALFORMED_RTP),
        (Sender().packet(bytes(1401)), DropReason.OVERSIZED),
        (Sender().padding(), DropReason.PADDING_ONLY),
    ],
)
def test_drops_are_counted_by_reason(packet: bytes, reason: DropReason) -> None:
    target = ingest()
    assert target.on_rtp([packet], 0.0) == []
    assert target.drops == {reason: 1}


def simulcast() -> PublisherIngest:
    return ingest(negotiation(rids=("q", "h", "f")))


def test_layers_by_rid() -> None:
    target = simulcast()
    out = target.on_rtp([layer("h", 10).packet(VP8_KEY), layer("q", 11).packet(VP8_KEY)], 0.0)
    assert [(source.rid, source.ssrc) for source, _ in out] == [("h", 10), ("q", 11)]
    assert len(target.sources) == 2


def test_a_layer_without_its_rid_waits() -> None:
    target = simulcast()
    target.on_rtp([Sender(10, extensions={MID_ID: b"v"}).packet(), layer("x", 11).packet()], 0.0)
    assert target.drops == {DropReason.UNKNOWN_SSRC: 2}


def test_rid_without_simulcast_is_ignored() -> None:
    target = ingest()
    ((source, _),) = target.on_rtp([layer("h", 10).packet(VP8_KEY)], 0.0)
    assert source.rid is None


def lose_one(sender: Sender, target: PublisherIngest) -> bytes:
    """Send key, (lost), delta; return the lost packet, built without extensions."""
    first = sender.packet(VP8_KEY)
    saved, sender.extensions = sender.extensions, {}
    lost = sender.packet(VP8_DELTA)
    sender.extensions = saved
    target.on_rtp([first, sender.packet(VP8_DELTA)], 0.0)
    target.poll_rtcp(20.0)
    return lost


@pytest.mark.parametrize("signalled", [True, False])
def test_repair_streams_by_signalling_or_payload_type(signalled: bool) -> None:
    settled = (
        negotiation(ssrcs=(VIDEO_SSRC,), rtx_ssrcs={VIDEO_SSRC: RTX_SSRC})
        if signalled
        else negotiation()
    )
    target = ingest(settled)
    lost = lose_one(Sender(), target)
    ((source, packet),) = target.on_rtp([rtx(lost, 1)], 60.0)
    assert (source.ssrc, packet.payload, packet.seq) == (VIDEO_SSRC, VP8_DELTA, 65536 + 1001)
    assert packet.payload_type == VP8_PT
    assert source.stats.rtx_received == 1
    assert source.stats.lost == 0
    assert target.rtt_ms == 40.0
    assert target.on_rtp([rtx(lost, 2)], 61.0) == []
    assert target.drops == {DropReason.DUPLICATE: 1}


def test_repair_of_a_layer_by_repaired_rid() -> None:
    target = simulcast()
    target.on_rtp([layer("q", 10).packet(VP8_KEY)], 0.0)
    lost = lose_one(layer("h", 11), target)
    ((source, packet),) = target.on_rtp([rtx(lost, 1, 50, rrid=b"h")], 30.0)
    assert (source.rid, packet.payload) == ("h", VP8_DELTA)


def test_repair_of_a_layer_by_what_is_missing() -> None:
    target = simulcast()
    target.on_rtp([layer("q", 10, seq=40_000).packet(VP8_KEY)], 0.0)
    lost = lose_one(layer("h", 11), target)
    ((source, _),) = target.on_rtp([rtx(lost, 1, 50)], 30.0)
    assert source.rid == "h"


def test_repair_probes_and_strays() -> None:
    target = ingest()
    target.on_rtp([Sender().packet(VP8_KEY)], 0.0)
    repair = Sender(RTX_SSRC, RTX_PT, seq=5)
    target.on_rtp([repair.padding(), repair.packet(b"\x00")], 0.0)
    assert target.drops == {DropReason.PADDING_ONLY: 2}
    target.on_rtp([repair.packet(b"\x90\x00" + VP8_DELTA)], 0.0)  # far from the source's numbers
    assert target.drops[DropReason.TOO_OLD] == 1


def test_sources_are_bounded_and_silent_ones_make_room() -> None:
    target = ingest()
    for ssrc in range(MAX_SOURCES + 5):
        target.on_rtp([Sender(ssrc).packet(VP8_KEY)], 10.0)
    assert len(target.sources) == MAX_SOURCES
    assert target.drops == {DropReason.TOO_MANY_SOURCES: 5}
    assert target.on_rtp([Sender(99).packet(VP8_KEY)], 5000.0)
    assert len(target.sources) == MAX_SOURCES


def test_audio_level_and_orientation_are_passed_on() -> None:
    target = ingest()
    audio = Sender(AUDIO_SSRC, OPUS_PT).packet(b"voice", extensions={LEVEL_ID: b"\x9e"})
    video = Sender().packet(VP8_KEY, extensions={CVO_ID: b"\x03"})
    (_, heard), (_, seen) = target.on_rtp([audio, video], 0.0)
    assert (heard.audio_level, heard.video_orientation) == (0x9E, None)
    assert (seen.audio_level, seen.video_orientation) == (None, 3)


def test_unknown_rids_do_not_bind_when_the_extension_is_not_negotiated() -> None:
    extensions = {uri: ident for uri, ident in EXTENSIONS.items() if uri != EXT_RID}
    target = ingest(negotiation(rids=("q",), extensions=extensions))
    target.on_rtp([layer("q", 10).packet()], 0.0)
    assert target.drops == {DropReason.UNKNOWN_SSRC: 1}


def test_two_codecs_of_a_section() -> None:
    vp9 = CodecParameters(98, "VP9", 90_000, rtcp_feedback=FULL_FEEDBACK)
    target = ingest(negotiation((dataclasses.replace(VP8), vp9)))
    out = target.on_rtp([Sender(payload_type=98).packet(b"\x8c" + bytes(40))], 0.0)
    assert [source.codec.name for source, _ in out] == ["VP9"]


def test_a_codec_that_is_not_forwarded_is_refused() -> None:
    target = ingest(negotiation((CodecParameters(100, "H263", 90_000), VP8)))
    target.on_rtp([Sender(payload_type=100).packet()], 0.0)
    sender = Sender()
    target.on_rtp([sender.packet(VP8_KEY)], 0.0)
    sender.payload_type = 100
    target.on_rtp([sender.packet()], 0.0)
    assert target.drops == {DropReason.UNKNOWN_PAYLOAD_TYPE: 2}

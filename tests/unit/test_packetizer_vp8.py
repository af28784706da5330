"""VP8 payloads read back by aiortc's descriptor parser and decoded by av."""

from __future__ import annotations

import av
from aiortc.codecs.vpx import VpxPayloadDescriptor, vp8_depayload
from hypothesis import given
from hypothesis import strategies as st

from hub.source.encode import VideoEncoder
from hub.source.packetizers import OpusPacketizer, Vp8Packetizer
from hub.source.picture import HEIGHT, WIDTH, TestPicture


@given(st.lists(st.binary(min_size=1, max_size=6000), min_size=1, max_size=5))
def test_frames_come_back_with_rising_picture_ids(frames: list[bytes]) -> None:
    packetizer = Vp8Packetizer(first_picture_id=0x7FFE)
    for number, frame in enumerate(frames):
        payloads = packetizer.packetize(frame)
        heads = [VpxPayloadDescriptor.parse(p)[0] for p in payloads]
        assert [h.partition_start for h in heads] == [1] + [0] * (len(heads) - 1)
        assert {h.picture_id for h in heads} == {(0x7FFE + number) & 0x7FFF}
        assert b"".join(map(vp8_depayload, payloads)) == frame


def test_encoded_pictures_survive() -> None:
    picture = TestPicture("Hội đồng nhân dân")
    encoder = VideoEncoder("vp8", WIDTH, HEIGHT, 30, 1_500_000)
    packetizer = Vp8Packetizer()
    decoder = av.CodecContext.create("vp8", "r")
    decoded = 0
    for frame in range(5):
        planes = picture.draw(frame, 1_750_000_000 + frame / 30, False)
        for unit in encoder.encode_i420(planes, frame / 30):
            assert unit.keyframe == (frame == 0)
            data = b"".join(map(vp8_depayload, packetizer.packetize(unit.data)))
            decoded += len(decoder.decode(av.Packet(data)))
    assert decoded == 5


def test_an_opus_packet_is_a_payload() -> None:
    assert OpusPacketizer().packetize(b"\x78abc") == [b"\x78abc"]

"""H.264 payloads read back by aiortc's depacketizer and decoded by av."""

from __future__ import annotations

import av
import numpy as np
import pytest
from aiortc.codecs.h264 import h264_depayload
from hypothesis import given
from hypothesis import strategies as st

from hub.source.encode import VideoEncoder
from hub.source.packetizers import H264Packetizer, even_pieces, split_nals
from hub.source.picture import HEIGHT, WIDTH, TestPicture
from hub.source.time_strip import read_strip

nal = st.builds(
    lambda head, body: bytes([head]) + body.replace(b"\x00", b"\x01") + b"\x80",
    st.sampled_from([0x67, 0x68, 0x65, 0x41, 0x06]),
    st.binary(min_size=1, max_size=4000),
)


def annex_b(nals: list[bytes]) -> bytes:
    return b"".join(b"\x00\x00\x00\x01" + n for n in nals)


@given(st.lists(nal, min_size=1, max_size=8))
def test_every_nal_comes_back_in_order(nals: list[bytes]) -> None:
    payloads = H264Packetizer(1160).packetize(annex_b(nals))
    assert all(len(p) <= 1160 for p in payloads)
    stream = b"".join(h264_depayload(p) for p in payloads)
    assert list(split_nals(stream)) == nals


@given(st.binary(min_size=1, max_size=20000), st.integers(100, 1500))
def test_pieces_are_even(data: bytes, limit: int) -> None:
    pieces = even_pieces(data, limit)
    assert b"".join(pieces) == data
    assert len(pieces) == -(-len(data) // limit)
    assert len({len(p) for p in pieces[:-1]}) <= 1
    assert len(pieces[-1]) <= len(pieces[0]) <= limit


def test_parameter_sets_share_one_packet() -> None:
    sps, pps, idr = b"\x67\x42\xe0\x1f\x80", b"\x68\xce\x80", b"\x65" + b"\x11" * 3000
    payloads = H264Packetizer().packetize(annex_b([sps, pps, idr]))
    assert payloads[0][0] & 0x1F == 24
    assert [p[0] & 0x1F for p in payloads[1:]] == [28, 28, 28]
    assert payloads[1][1] & 0x80
    assert payloads[-1][1] & 0x40


def test_access_unit_delimiters_and_filler_are_left_out() -> None:
    payloads = H264Packetizer().packetize(annex_b([b"\x09\xf0", b"\x0c\xff\x80", b"\x41\x22\x80"]))
    assert payloads == [b"\x41\x22\x80"]


def test_an_empty_stream_gives_nothing() -> None:
    assert H264Packetizer().packetize(b"") == []


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_encoded_pictures_survive_and_tell_their_time(scale: float) -> None:
    picture = TestPicture("Kỳ họp Hội đồng nhân dân phường Lê Đại Hành")
    encoder = VideoEncoder("h264", WIDTH, HEIGHT, 30, 2_500_000)
    packetizer = H264Packetizer()
    decoder = av.CodecContext.create("h264", "r")
    times: list[int | None] = []
    for frame in range(12):
        wall_s = 1_750_000_000 + frame / 30
        for unit in encoder.encode_i420(picture.draw(frame, wall_s, frame < 3), frame / 30):
            stream = b"".join(map(h264_depayload, packetizer.packetize(unit.data)))
            for decoded in decoder.decode(av.Packet(stream)):
                small = decoded.reformat(
                    width=int(WIDTH * scale), height=int(HEIGHT * scale), format="gray"
                )
                times.append(read_strip(np.asarray(small.to_ndarray())))
    times += [
        read_strip(frame.reformat(format="gray").to_ndarray()) for frame in decoder.decode(None)
    ]
    assert times == [round((1_750_000_000 + frame / 30) * 1000) for frame in range(12)]

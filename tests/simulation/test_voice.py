"""Sound with older frames through the forwarding core: what viewers get, resent and counted."""

from __future__ import annotations

from relay.core.codecs.red import parse_red
from relay.core.negotiation import (
    EXT_ABS_SEND_TIME,
    CodecParameters,
    MediaNegotiation,
    ViewerNegotiation,
)
from relay.core.packet import MediaPacket
from relay.core.rtcp import Nack, encode
from relay.core.source import Source
from relay.core.viewer import Viewer
from tests.simulation.virtual_stream import OPUS, Theatre

RED = CodecParameters(63, "RED", 48_000, channels=2, fmtp={"111/111": ""})


def join(theatre: Theatre, number: int, *codecs: CodecParameters) -> Viewer:
    media = MediaNegotiation(0, "0", "audio", codecs, {EXT_ABS_SEND_TIME: 3}, (100 + number,))
    viewer = theatre.router.add_viewer(f"v{number}", number, ViewerNegotiation((media,)))
    theatre.router.start_viewer(viewer, theatre.now_ms)
    return viewer


class Voice:
    """Opus packets whose payload is their number."""

    def __init__(self, theatre: Theatre) -> None:
        self.theatre = theatre
        self.source = Source(
            theatre.router.next_source_number(), "audio", OPUS, can_request_keyframe=False
        )
        theatre.router.set_source("audio", self.source)
        self.seq = 0

    def speak(self, packets: int) -> None:
        theatre = self.theatre
        for _ in range(packets):
            self.seq += 1
            data = bytes([self.seq]) * (20 + self.seq)
            packet = MediaPacket(
                self.seq, self.seq * 960, data, 111, False, False, True, theatre.now_ms
            )
            theatre.take(theatre.router.on_packets(self.source, [packet], theatre.now_ms))
            theatre.idle(20)


def test_viewers_of_one_stream_get_sound_in_the_form_that_their_line_needs() -> None:
    theatre = Theatre()
    voice = Voice(theatre)
    track = theatre.router.tracks["audio"]
    plain, one, two = (join(theatre, n, OPUS, RED) for n in range(3))
    stranger = join(theatre, 3, OPUS)
    voice.speak(3)
    for viewer, level in ((one, 1), (two, 2), (stranger, 2)):
        track.set_voice_level(viewer.lanes["audio"], level)
    voice.speak(4)
    received = theatre.received
    assert {p.payload_type for p in received[0]} == {p.payload_type for p in received[3]} == {111}
    assert [p.payload_type for p in received[1]] == [111] * 3 + [63] * 4
    assert [len(parse_red(p.payload)) for p in received[2][3:]] == [3, 3, 3, 3]
    for number in range(4):
        seqs = [p.seq for p in received[number]]
        assert [(s - seqs[0]) & 0xFFFF for s in seqs] == list(range(7))
        primary = [
            parse_red(p.payload)[-1].data if p.payload_type == 63 else p.payload
            for p in received[number]
        ]
        assert [data[0] for data in primary] == list(range(1, 8))
    track.set_voice_level(two.lanes["audio"], 0)
    voice.speak(2)
    assert [p.payload_type for p in received[2][-2:]] == [111, 111]
    assert plain.lanes["audio"].current is not None


def test_a_resend_is_the_same_to_the_byte_whatever_form_it_had() -> None:
    theatre = Theatre()
    voice = Voice(theatre)
    viewer = join(theatre, 1, OPUS, RED)
    lane = viewer.lanes["audio"]
    voice.speak(3)
    theatre.router.tracks["audio"].set_voice_level(lane, 2)
    voice.speak(4)
    for lost in list(theatre.received[1]):
        theatre.now_ms += 100
        before = len(theatre.received[1])
        nack = encode([Nack(1, lane.ssrc, (lost.seq,))])
        theatre.take(theatre.router.on_viewer_rtcp(viewer, nack, theatre.now_ms))
        assert theatre.received[1][before:] == [lost]

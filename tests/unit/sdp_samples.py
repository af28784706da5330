"""Offers in the shape of each stack and a made-up local side, for the SDP tests."""

from __future__ import annotations

import itertools
from pathlib import Path

from relay.core.negotiation import CodecParameters, PublisherNegotiation, ViewerNegotiation
from relay.signalling.answer_publisher import PublisherPolicy, answer_publisher
from relay.signalling.answer_viewer import answer_viewer
from relay.signalling.offer import LocalTransport, parse_offer
from relay.transport.candidate import local_candidates

OFFERS = Path(__file__).parent.parent / "fixtures" / "sdp"
FINGERPRINT = ":".join(f"{number:02X}" for number in range(32))
LOCAL = LocalTransport("abcd", "p" * 24, FINGERPRINT, local_candidates(("192.0.2.1",), 7890))
H264 = CodecParameters(
    102, "H264", 90_000, fmtp={"packetization-mode": "1", "profile-level-id": "42e01f"}
)
OPUS = CodecParameters(111, "OPUS", 48_000, channels=2)


def sample(name: str) -> str:
    """An offer of tests/fixtures/sdp."""
    return (OFFERS / f"{name}.sdp").read_text()


def publish(text: str, **policy: int) -> tuple[str, PublisherNegotiation, str]:
    """(answer, negotiation, our DTLS role) to a publisher."""
    return answer_publisher(parse_offer(text), LOCAL, PublisherPolicy(**policy))


def view(text: str, *on_air: CodecParameters) -> tuple[str, ViewerNegotiation, str]:
    """(answer, negotiation, our DTLS role) to a viewer; H.264 and Opus when none is given."""
    ssrcs = itertools.count(1000)
    return answer_viewer(parse_offer(text), LOCAL, on_air or (H264, OPUS), lambda: next(ssrcs))

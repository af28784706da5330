"""Which sealed packet is newer than all before it, by index alone and proved against libsrtp."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.transport.newest import Newest
from relay.transport.srtp import PeerSrtp, SrtpScratch
from relay.transport.srtp_profile import PROFILES, SrtpKeys, SrtpProfile

REPORT = bytes.fromhex("80c9000100000001")


def rtp(number: int, ssrc: int = 7) -> bytes:
    return b"\x80\x60" + (number & 0xFFFF).to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big")


def report(index: int, ssrc: int = 1, tag: bytes = b"") -> bytes:
    """Sealed as far as can be seen from outside."""
    head = b"\x80\xc9\x00\x01" + ssrc.to_bytes(4, "big")
    return head + bytes(16) + (1 << 31 | index).to_bytes(4, "big") + tag


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_index_is_where_libsrtp_puts_it(profile: SrtpProfile) -> None:
    key = os.urandom(profile.material_bytes // 2)
    sender, scratch = PeerSrtp(profile, SrtpKeys(key, key)), SrtpScratch()
    sealed = [scratch.seal(sender, REPORT, rtcp=True) for _ in range(5)]
    newest = Newest(profile.rtcp_tag_behind_bytes)
    newest.note(sealed[1], rtcp=True)
    assert [newest.ahead(data, rtcp=True) for data in sealed] == [0, 0, 1, 2, 3]
    sender.close()


def test_an_ssrc_that_never_came_is_nobodys() -> None:
    newest = Newest(0)
    newest.note(report(5), rtcp=True)
    newest.note(rtp(5, ssrc=9), rtcp=False)
    assert newest.ahead(report(6, ssrc=2), rtcp=True) == 0
    assert newest.ahead(report(6, ssrc=9), rtcp=True) == 0
    assert newest.ahead(rtp(6, ssrc=1), rtcp=False) == 0


def test_a_late_packet_changes_nothing() -> None:
    newest = Newest(10)
    for index in (8, 3):
        newest.note(report(index, tag=bytes(10)), rtcp=True)
        newest.note(rtp(index), rtcp=False)
    assert newest.ahead(report(8, tag=bytes(10)), rtcp=True) == 0
    assert newest.ahead(report(9, tag=bytes(10)), rtcp=True) == 1
    assert newest.ahead(rtp(8), rtcp=False) == 0
    assert newest.ahead(rtp(9), rtcp=False) == 1


@given(st.integers(0, 0xFFFF), st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_numbers_that_grow_are_ahead_by_their_steps(first: int, steps: list[int]) -> None:
    """Over the end of 16 bits too."""
    newest = Newest(0)
    newest.note(rtp(first), rtcp=False)
    for step in steps:
        first += step
        assert newest.ahead(rtp(first), rtcp=False) == step
        newest.note(rtp(first), rtcp=False)
        assert newest.ahead(rtp(first), rtcp=False) == 0
        assert newest.ahead(rtp(first - step), rtcp=False) == 0


@given(st.binary(min_size=12, max_size=60), st.sampled_from([0, 10]), st.booleans())
def test_any_bytes_are_judged(data: bytes, trailer_bytes: int, rtcp: bool) -> None:
    newest = Newest(trailer_bytes)
    assert newest.ahead(data, rtcp=rtcp) == 0
    newest.note(data, rtcp=rtcp)
    assert newest.ahead(data, rtcp=rtcp) == 0

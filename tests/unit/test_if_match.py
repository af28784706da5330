"""If-Match: lists, weak tags, stars."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.signalling.if_match import if_match


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ('"tag"', True),
        (' "tag" ', True),
        ('"other", "tag"', True),
        ('"other","tag",', True),
        (', "tag"', True),
        ('"a,b", "tag"', True),
        ('"tag,x"', False),
        ('W/"tag"', False),
        ('w/"tag"', False),
        ('W/"tag", "tag"', True),
        ("*", True),
        (' "*" ', True),
        ('"*", "other"', False),
        ("tag", False),
        ("", False),
        ('"tag', False),
        ('"tag" "tag"', False),
        ("'tag'", False),
    ],
)
def test_if_match(header: str | None, expected: bool | None) -> None:
    assert if_match(header, "tag") is expected


@given(st.text(max_size=200))
def test_any_header_gives_an_answer(header: str) -> None:
    assert if_match(header, "tag") in (True, False)

"""Dependency descriptors: L1T3 as it is commonly sent, built bit by bit."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.codecs import CodecError
from relay.core.codecs.dependency_descriptor import (
    DependencyReader,
    Structure,
    parse_dependency,
)

L1T3_LAYERS = (0, 0, 1, 2, 2)
L1T3_INDICATIONS = ("SSS", "SSS", "-DS", "--D", "--D")
L1T3_DIFFS: tuple[tuple[int, ...], ...] = ((), (4,), (2,), (1,), (1,))
INDICATIONS = "-DSR"


def bits(*fields: tuple[int, int]) -> str:
    """Fields (value, width) as a string of bits."""
    return "".join(f"{value:0{width}b}" for value, width in fields if width)


def packed(text: str) -> bytes:
    """Bits padded to whole bytes."""
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def mandatory(template: int, number: int, *, first: bool = True, last: bool = True) -> str:
    return bits((first, 1), (last, 1), (template, 6), (number, 16))


def l1t3_structure(id_offset: int = 0, *, sizes: bool = True) -> str:
    text = bits((id_offset, 6), (2, 5))
    steps = [b - a for a, b in pairwise(L1T3_LAYERS)]
    text += bits(*((step, 2) for step in steps), (3, 2))
    for row in L1T3_INDICATIONS:
        text += bits(*((INDICATIONS.index(mark), 2) for mark in row))
    for diffs in L1T3_DIFFS:
        text += "".join("1" + bits((diff - 1, 4)) for diff in diffs) + "0"
    # One chain of at most three: ns(4) takes two bits; each target is protected by it: ns(1), none.
    text += bits((1, 2)) + bits(*((diff, 4) for diff in (0, 4, 2, 1, 3)))
    return text + ("1" + bits((1279, 16), (719, 16)) if sizes else "0")


def key_descriptor(id_offset: int = 0, *, sizes: bool = True) -> bytes:
    flags = bits((1, 1), (0, 1), (0, 1), (0, 1), (0, 1))
    return packed(mandatory(id_offset, 1) + flags + l1t3_structure(id_offset, sizes=sizes))


def test_structure() -> None:
    reader = DependencyReader()
    frame = reader.read(key_descriptor())
    structure = reader.structure
    assert structure is not None
    assert frame.structure is structure
    assert [t.temporal_id for t in structure.templates] == list(L1T3_LAYERS)
    assert structure.target_temporal_ids == (0, 1, 2)
    assert structure.chains == 1
    assert structure.sizes == ((1280, 720),)
    assert (frame.starts_frame, frame.ends_frame, frame.frame_number) == (True, True, 1)


@pytest.mark.parametrize(
    ("template", "temporal_id", "switch_up"), [(1, 0, 2), (2, 1, 2), (3, 2, 0), (4, 2, 0)]
)
@pytest.mark.parametrize("id_offset", [0, 61])
def test_templates(template: int, temporal_id: int, switch_up: int, id_offset: int) -> None:
    reader = DependencyReader()
    reader.read(key_descriptor(id_offset, sizes=False))
    wire = packed(mandatory((template + id_offset) % 64, 7, last=False))
    frame = reader.read(wire)
    assert (frame.temporal_id, frame.switch_up) == (temporal_id, switch_up)
    assert (frame.starts_frame, frame.ends_frame, frame.frame_number) == (True, False, 7)
    assert frame.structure is None


def test_indications_of_one_frame_go_before_its_template() -> None:
    reader = DependencyReader()
    reader.read(key_descriptor())
    custom = bits((0, 1), (0, 1), (1, 1), (0, 1), (0, 1)) + bits((0, 2), (0, 2), (2, 2))
    assert reader.read(packed(mandatory(3, 9) + custom)).switch_up == 2
    active = bits((0, 1), (1, 1), (1, 1), (0, 1), (0, 1)) + bits((3, 3)) + bits((2, 2), (0, 4))
    assert reader.read(packed(mandatory(3, 9) + active)).switch_up == 0


@pytest.mark.parametrize(
    "wire", [b"", b"\xc0\x00", packed(mandatory(5, 1)), packed(mandatory(63, 1))]
)
def test_refused(wire: bytes) -> None:
    reader = DependencyReader()
    reader.read(key_descriptor())
    with pytest.raises(CodecError):
        reader.read(wire)


def test_template_before_structure() -> None:
    with pytest.raises(CodecError, match="before its structure"):
        DependencyReader().read(packed(mandatory(0, 1)))


def test_too_many_layers() -> None:
    text = mandatory(0, 1) + "10000" + bits((0, 6), (0, 5)) + bits(*[(1, 2)] * 9)
    with pytest.raises(CodecError, match="too many"):
        parse_dependency(packed(text), None)


@given(
    wire=st.one_of(
        st.binary(max_size=60),
        st.binary(max_size=60).map(lambda tail: key_descriptor()[:4] + tail),
        st.tuples(st.integers(0, 199), st.integers(0, 200)).map(
            lambda at: bytes(
                b ^ (1 << (at[0] & 7)) if i == at[0] >> 3 else b
                for i, b in enumerate(key_descriptor())
            )[: at[1]]
        ),
    ),
    known=st.booleans(),
)
def test_arbitrary_bytes_raise_codec_error_or_nothing(wire: bytes, known: bool) -> None:
    structure: Structure | None = None
    if known:
        structure = parse_dependency(key_descriptor(), None).structure
    try:
        frame = parse_dependency(wire, structure)
    except CodecError:
        return
    assert 0 <= frame.temporal_id <= 7
    assert 0 <= frame.switch_up <= 7
    assert 0 <= frame.spatial_id <= 3

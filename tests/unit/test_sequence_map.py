"""The viewers' numbering: compaction of padding, insertion, reordering."""

from hypothesis import given
from hypothesis import strategies as st

from relay.core.sequence_map import SequenceMap
from relay.core.serial import LATE_WINDOW


def test_worked_example() -> None:
    numbers = SequenceMap()
    assert [numbers.place(seq) for seq in (10, 11)] == [10, 11]
    assert numbers.remove(12)
    assert [numbers.place(seq) for seq in (13, 14)] == [12, 13]
    assert numbers.insert(15) == 14
    assert [numbers.place(seq) for seq in (15, 16)] == [15, 16]


def test_late_media_keeps_the_shift_of_its_place() -> None:
    numbers = SequenceMap()
    numbers.place(10)
    assert numbers.remove(13)  # 11 and 12 are still under way
    assert numbers.place(14) == 13
    assert numbers.place(12) == 12
    assert numbers.place(11) == 11


def test_late_padding_must_be_filled() -> None:
    numbers = SequenceMap()
    numbers.place(10)
    numbers.place(12)
    assert not numbers.remove(11)
    assert numbers.place(11) == 11


def test_nothing_is_inserted_before_a_late_packet() -> None:
    numbers = SequenceMap()
    numbers.place(10)
    numbers.place(12)
    assert numbers.insert(11) is None


def test_two_insertions_are_consecutive() -> None:
    numbers = SequenceMap()
    numbers.place(9)
    assert (numbers.insert(10), numbers.insert(10), numbers.place(10)) == (10, 11, 12)


@given(
    kinds=st.lists(st.sampled_from(["media", "media", "padding", "key"]), min_size=1, max_size=120),
    lateness=st.lists(st.integers(0, 6), min_size=120, max_size=120),
    lost=st.sets(st.integers(0, 119), max_size=20),
)
def test_no_number_is_given_twice_and_order_is_kept(
    kinds: list[str], lateness: list[int], lost: set[int]
) -> None:
    numbers = SequenceMap()
    order = sorted(range(len(kinds)), key=lambda i: (i + lateness[i], i))
    given_out: list[tuple[tuple[int, int], int]] = []
    for index in order:
        if index in lost:
            continue
        seq = 70000 + index
        if kinds[index] == "padding":
            if not numbers.remove(seq):
                given_out.append(((seq, 1), numbers.place(seq)))
            continue
        if kinds[index] == "key":
            extra = numbers.insert(seq)
            if extra is not None:
                given_out.append(((seq, 0), extra))
        given_out.append(((seq, 1), numbers.place(seq)))
    in_sender_order = [number for _, number in sorted(given_out)]
    assert in_sender_order == sorted(set(in_sender_order))


@given(kinds=st.lists(st.sampled_from(["media", "padding"]), max_size=80))
def test_in_order_padding_leaves_no_hole(kinds: list[str]) -> None:
    numbers = SequenceMap()
    out = []
    for index, kind in enumerate(kinds):
        if kind == "padding":
            assert numbers.remove(100 + index)
        else:
            out.append(numbers.place(100 + index))
    assert out == list(range(100, 100 + len(out)))


def test_memory_is_bounded_under_endless_padding() -> None:
    numbers = SequenceMap()
    seq = 0
    for _ in range(5 * LATE_WINDOW):
        numbers.remove(seq)
        numbers.place(seq + 1)
        seq += 2
    late = seq - LATE_WINDOW + 1
    assert numbers.place(late) == late - late // 2 - 1
    assert len(numbers._starts) <= 2 * LATE_WINDOW + 1

"""The model of a bad line, on a virtual clock."""

from __future__ import annotations

import math
from itertools import groupby, pairwise

import pytest

from tests.netns.link_model import LinkDrop, LinkModel, LinkSettings

SIZE = 972
"""1000 bytes with the headers of IPv4 and UDP."""


def arrivals(
    settings: LinkSettings, packets: int, every_ms: float = 1.0, seed: int = 1, size: int = SIZE
) -> list[tuple[float, int]]:
    """(time, number) of each packet that arrives; one is sent every so many milliseconds."""
    model: LinkModel[int] = LinkModel(settings, seed)
    return run(model, packets, every_ms, size)


def run(
    model: LinkModel[int], packets: int, every_ms: float = 1.0, size: int = SIZE
) -> list[tuple[float, int]]:
    seen: list[tuple[float, int]] = []

    def deliver_until(end_ms: float) -> None:
        while (now_ms := model.next_deadline_ms()) <= end_ms and now_ms < math.inf:
            seen.extend((now_ms, packet) for packet in model.poll(now_ms))

    for number in range(packets):
        deliver_until(number * every_ms)
        model.feed(number, size, number * every_ms)
    deliver_until(math.inf)
    return seen


def test_a_line_without_faults_delivers_at_once() -> None:
    assert arrivals(LinkSettings(), 100) == [(float(n), n) for n in range(100)]


def test_delay_is_the_same_for_every_packet() -> None:
    assert arrivals(LinkSettings(delay_ms=40), 3) == [(40, 0), (41, 1), (42, 2)]


def test_nothing_arrives_before_its_time() -> None:
    model: LinkModel[str] = LinkModel(LinkSettings(delay_ms=40), 1)
    model.feed("a", SIZE, 0)
    assert model.poll(39.9) == []
    assert model.next_deadline_ms() == 40
    assert model.poll(40) == ["a"]
    assert model.next_deadline_ms() == math.inf


def test_jitter_spreads_delays_and_keeps_the_order() -> None:
    seen = arrivals(LinkSettings(delay_ms=10, jitter_ms=30), 2000, every_ms=50)
    delays = [at_ms - number * 50 for at_ms, number in seen]
    assert 10 <= min(delays) < 11
    assert 39 < max(delays) <= 40
    close = arrivals(LinkSettings(jitter_ms=30), 2000, every_ms=1)
    assert [number for _, number in close] == list(range(2000))


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.5])
def test_loss_is_the_share_asked_for(loss: float) -> None:
    lost = 1 - len(arrivals(LinkSettings(loss=loss), 20_000)) / 20_000
    assert abs(lost - loss) < 5 * (loss * (1 - loss) / 20_000) ** 0.5


def test_losses_come_in_runs_when_asked_for() -> None:
    settings = LinkSettings(loss=0.05, loss_run=8)
    arrived = {number for _, number in arrivals(settings, 100_000)}
    runs = [
        len(list(run))
        for is_lost, run in groupby(n not in arrived for n in range(100_000))
        if is_lost
    ]
    assert 0.04 < sum(runs) / 100_000 < 0.06
    assert 7 < sum(runs) / len(runs) < 9


def test_everything_and_nothing_can_be_lost() -> None:
    assert arrivals(LinkSettings(loss=1), 100) == []
    assert arrivals(LinkSettings(loss=1, loss_run=5), 100) == []
    assert len(arrivals(LinkSettings(loss=0, loss_run=5), 100)) == 100


def test_duplicates_are_counted_and_come_together() -> None:
    model: LinkModel[int] = LinkModel(LinkSettings(duplicate=0.1), 1)
    seen = run(model, 5000)
    assert len(seen) == 5000 + model.duplicated
    assert 400 < model.duplicated < 600
    assert sum(a == b for a, b in pairwise(seen)) == model.duplicated


def test_a_reordered_packet_is_overtaken() -> None:
    model: LinkModel[int] = LinkModel(LinkSettings(reorder=0.02, reorder_ms=5), 1)
    order = [number for _, number in run(model, 5000)]
    assert sorted(order) == list(range(5000))
    assert 60 < model.reordered < 140
    late = sum(a > b for a, b in pairwise(order))
    assert 0.8 * model.reordered < late <= model.reordered


def test_rate_spaces_packets() -> None:
    # 1000 bytes at 1000 kbit/s: 8 ms each.
    seen = arrivals(LinkSettings(rate_kbit=1000, queue_ms=1000), 10, every_ms=0)
    assert seen == [(8.0 * (n + 1), n) for n in range(10)]
    assert arrivals(LinkSettings(rate_kbit=1000), 3, every_ms=100) == [(8, 0), (108, 1), (208, 2)]


def test_a_full_queue_drops_the_newest() -> None:
    model: LinkModel[int] = LinkModel(LinkSettings(rate_kbit=1000, queue_ms=40), 1)
    seen = run(model, 20, every_ms=0)
    assert [number for _, number in seen] == [0, 1, 2, 3, 4, 5]
    assert model.drops == {LinkDrop.QUEUE_FULL: 14}


def test_longer_packets_than_the_mtu_vanish() -> None:
    settings = LinkSettings(mtu=1000)
    assert len(arrivals(settings, 5, size=SIZE)) == 5
    assert arrivals(settings, 5, size=SIZE + 1) == []


def test_a_cut_line_loses_what_comes_and_not_what_is_under_way() -> None:
    model: LinkModel[str] = LinkModel(LinkSettings(delay_ms=10), 1)
    model.feed("before", SIZE, 0)
    model.cut = True
    model.feed("during", SIZE, 1)
    model.cut = False
    model.feed("after", SIZE, 2)
    assert model.poll(100) == ["before", "after"]
    assert model.drops == {LinkDrop.CUT: 1}


def test_a_held_line_gives_everything_at_once_afterwards() -> None:
    model: LinkModel[int] = LinkModel(LinkSettings(), 1)
    model.held = True
    for number in range(5):
        model.feed(number, SIZE, number)
    assert model.poll(100) == []
    assert model.next_deadline_ms() == math.inf
    model.held = False
    assert model.next_deadline_ms() <= 100
    assert model.poll(100) == [0, 1, 2, 3, 4]


def test_settings_change_while_packets_are_under_way_and_order_stays() -> None:
    model: LinkModel[int] = LinkModel(LinkSettings(delay_ms=100), 1)
    model.feed(0, SIZE, 0)
    model.settings = LinkSettings()
    model.feed(1, SIZE, 1)
    assert model.poll(99) == []
    assert model.poll(100) == [0, 1]


def test_the_same_seed_gives_the_same_line() -> None:
    settings = LinkSettings(delay_ms=5, jitter_ms=20, loss=0.1, duplicate=0.05, reorder=0.05)
    assert arrivals(settings, 500, seed=3) == arrivals(settings, 500, seed=3)
    assert arrivals(settings, 500, seed=3) != arrivals(settings, 500, seed=4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss": 1.5},
        {"loss": -0.1},
        {"delay_ms": -1},
        {"delay_ms": math.inf},
        {"rate_kbit": math.nan},
        {"loss": 0.9, "loss_run": 1.5},
        {"loss": 0.1, "loss_run": 0.5},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        LinkSettings(**wrong)  # type: ignore[arg-type]

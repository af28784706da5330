"""Results as Markdown tables; each says what its figures are."""

from __future__ import annotations

from collections.abc import Sequence

from tests.networks.blocked import BlockedRow
from tests.networks.loss import SOURCE_FPS, STARVED, LossRow
from tests.networks.neighbour import Crowd, NeighbourResult
from tests.networks.rate import RatePhase, RateResult
from tests.networks.rebind import RebindRow
from tests.networks.series import Spell


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are figures."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]
    return "\n".join(lines) + "\n"


def number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}%}"


def loss_table(rows: Sequence[LossRow]) -> str:
    """Loss of packets on the way to the viewer."""
    head = (
        "loss and player",
        "frames shown",
        "freezes a minute",
        "frozen s a minute",
        "s in gaps > 200 ms a minute",
        "longest gap ms",
        "sound concealed",
        "longest without new sound ms",
        "picture",
        "kbit/s",
        "source fps",
    )
    return table(head, [_loss_cells(row) for row in rows]) + _errors(
        [(f"{row.loss:.0%}, {row.player}", row.error) for row in rows]
    )


def _loss_cells(row: LossRow) -> list[str]:
    name = f"{row.loss:.0%}, {row.player}"
    seen = row.figures
    if seen is None:
        return [name, "did not play", *["–"] * 9]
    return [
        name,
        percent(seen.rendered),
        number(seen.freezes * seen.per_minute, 1),
        number(seen.frozen_s * seen.per_minute, 1),
        number(seen.paused_s * seen.per_minute, 1),
        number(seen.longest_gap_ms),
        percent(seen.concealed, 2),
        number(seen.sound_gap_ms),
        heights(seen.heights),
        number(seen.video_kbps + seen.audio_kbps),
        source_fps((seen.sent or 0) / seen.seconds),
    ]


def source_fps(fps: float) -> str:
    """With a mark when the machine was too busy for the source itself."""
    return number(fps, 1) + ("" if fps >= STARVED * SOURCE_FPS else " !")


def heights(shares: dict[int, float]) -> str:
    """ "720" or "360 90 %, 720 10 %"."""
    if len(shares) <= 1:
        return "".join(f"{height}p" for height in shares) or "none"
    return ", ".join(f"{height}p {share:.0%}" for height, share in shares.items())


def rate_table(result: RateResult) -> str:
    """A line that narrows and comes back."""
    if result.error:
        return f"It failed: {result.error}\n"
    head = (
        "line kbit/s",
        "picture over time",
        "kbit/s in the last third",
        "frames shown",
        "frozen s",
        "longest gap ms",
        "sound concealed",
        "longest without new sound ms",
        "source fps",
    )
    recovered = (
        f"{result.top_height}p again, steadily, {result.recovered_ms / 1000:.1f} s after the line"
        if result.recovered_ms is not None
        else f"{result.top_height}p did not come back"
    )
    return table(head, [_rate_cells(phase) for phase in result.phases]) + f"\n{recovered}.\n"


def _rate_cells(phase: RatePhase) -> list[str]:
    seen, tail = phase.figures, phase.tail
    return [
        str(phase.kbit),
        spells(phase.spells),
        number(tail.video_kbps + tail.audio_kbps),
        percent(seen.rendered),
        number(seen.frozen_s, 1),
        number(seen.longest_gap_ms),
        percent(seen.concealed, 2),
        number(seen.sound_gap_ms),
        source_fps((seen.sent or 0) / seen.seconds),
    ]


def spells(found: Sequence[Spell]) -> str:
    """ "720p 0–3 s, none 3–5 s, 360p 5–30 s"; many short ones are counted."""
    if len(found) > 8:
        standing = sum(spell.end_s - spell.begin_s for spell in found if not spell.height)
        known = sorted({spell.height for spell in found if spell.height})
        sizes = "/".join(f"{height}p" for height in known)
        return f"{sizes}, {len(found) - 1} changes, {standing:.1f} s without a picture"
    return ", ".join(
        f"{f'{spell.height}p' if spell.height else 'none'} {spell.begin_s:.1f}–{spell.end_s:.1f} s"
        for spell in found
    )


def neighbour_table(result: NeighbourResult) -> str:
    """A crowd on good lines, without and with one on a bad line."""
    head = (
        "the crowd",
        "packets",
        "lost",
        "repaired",
        "least fps",
        "longest gap ms",
        "own stall ms",
        "recoveries",
        "latency p50 ms",
        "latency max ms",
        "source fps",
    )
    rows = [_crowd_cells("alone", result.alone), _crowd_cells("beside", result.beside)]
    text = table(head, rows)
    if result.bad is not None:
        bad = result.bad
        text += (
            f"\nThe bad one: {percent(bad.rendered)} of the frames, {heights(bad.heights)}, "
            f"{number(bad.video_kbps + bad.audio_kbps)} kbit/s, frozen "
            f"{number(bad.frozen_s * bad.per_minute, 1)} s a minute, sound concealed "
            f"{percent(bad.concealed, 1)}.\n"
        )
    return text + _errors([("the bad one", result.error)])


def _crowd_cells(name: str, crowd: Crowd) -> list[str]:
    return [
        f"{crowd.viewers} {name}",
        str(crowd.packets),
        str(crowd.lost),
        str(crowd.repaired),
        number(crowd.fps_min, 1),
        number(crowd.longest_gap_ms),
        number(crowd.stall_ms),
        str(crowd.recoveries),
        number(crowd.latency_p50_ms),
        number(crowd.latency_max_ms),
        source_fps(crowd.sent_fps),
    ]


def blocked_table(rows: Sequence[BlockedRow]) -> str:
    """From opening the page to the picture."""
    head = (
        "line",
        "first picture s",
        "over",
        "frames shown then",
        "longest gap ms",
        "sound concealed",
    )
    cells = [
        [
            "UDP passes" if row.udp else "UDP dropped",
            number(row.first_frame_ms / 1000 if row.first_frame_ms is not None else None, 2),
            row.transport or "–",
            percent(row.rendered),
            number(row.longest_gap_ms),
            percent(row.concealed, 2),
        ]
        for row in rows
    ]
    errors = [("UDP passes" if row.udp else "UDP dropped", row.error) for row in rows]
    return table(head, cells) + _errors(errors)


def rebind_table(rows: Sequence[RebindRow]) -> str:
    """A new address of the viewer while it plays."""
    head = ("change", "longest without a frame ms", "without new sound ms", "new session")
    cells = [
        [
            row.change,
            number(row.gap_ms),
            number(row.sound_gap_ms),
            "–" if row.error else "yes" if row.new_session else "no",
        ]
        for row in rows
    ]
    return table(head, cells) + _errors([(row.change, row.error) for row in rows])


def _errors(named: Sequence[tuple[str, str]]) -> str:
    lines = [f"- {name}: {error}" for name, error in named if error]
    return "\n" + "\n".join(lines) + "\n" if lines else ""

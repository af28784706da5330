"""The grade: rows of figures and the verdict each must get."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.state.quality import (
    GRADE_WORDS_VI,
    Grade,
    SourceFigures,
    Verdict,
    ViewerFigures,
    grade_commune,
    grade_viewer,
)

AIR = SourceFigures(on_air=True, fps=30.0)
LOSSY_UPLINK = SourceFigures(on_air=True, fps=30.0, loss_ratio=0.06)
RETURNED = SourceFigures(on_air=True, fps=30.0, steady=False)
V = ViewerFigures

ROWS: list[tuple[ViewerFigures, SourceFigures, Grade, str, str]] = [
    (V(), AIR, Grade.GOOD, "none", "Hình và tiếng ổn định"),
    (V(loss_ratio=0.009, rtt_ms=299, fps=25), AIR, Grade.GOOD, "none", "Hình và tiếng ổn định"),
    (V(loss_ratio=0.04), AIR, Grade.FAIR, "line", "Mất gói 4 %: đường truyền của xã"),
    (V(loss_ratio=0.015), AIR, Grade.FAIR, "line", "Mất gói 1,5 %: đường truyền của xã"),
    (V(loss_ratio=0.12), AIR, Grade.BAD, "line", "Mất gói 12 %: đường truyền của xã"),
    (V(nack_ratio=0.1), AIR, Grade.BAD, "line", "Phải gửi lại 10 % số gói: đường truyền của xã"),
    (V(rtt_ms=400), AIR, Grade.FAIR, "line", "Độ trễ đường truyền 400 ms: đường truyền của xã"),
    (V(jitter_ms=250), AIR, Grade.BAD, "line", "Độ trễ dao động 250 ms: đường truyền của xã"),
    (V(fps=20), AIR, Grade.FAIR, "device", "Chỉ 20 khung hình/giây: máy tính của xã"),
    (V(fps=0), AIR, Grade.BAD, "device", "Chỉ 0 khung hình/giây: máy tính của xã"),
    (V(fps=12), SourceFigures(on_air=True, fps=12), Grade.GOOD, "none", "Hình và tiếng ổn định"),
    (V(fps=0), SourceFigures(on_air=True, fps=1), Grade.GOOD, "none", "Hình và tiếng ổn định"),
    (
        V(freeze_count=1, freeze_s=0.2),
        AIR,
        Grade.FAIR,
        "device",
        "Đứng hình 0,5 giây trong 30 giây: máy tính của xã",
    ),
    (
        V(freeze_count=2, freeze_s=4.5, loss_ratio=0.02),
        AIR,
        Grade.BAD,
        "line",
        "Đứng hình 4,5 giây trong 30 giây: đường truyền của xã",
    ),
    (
        V(freeze_count=2, freeze_s=4.5),
        LOSSY_UPLINK,
        Grade.BAD,
        "uplink",
        "Mất gói 6 %: đường lên của phường phát",
    ),
    (V(concealed_ratio=0.02), LOSSY_UPLINK, Grade.FAIR, "uplink", "Mất gói 6 %: đường lên"),
    (V(loss_ratio=0.06, fps=10), LOSSY_UPLINK, Grade.BAD, "line", "Mất gói 6 %: đường truyền"),
    (V(freeze_s=5), RETURNED, Grade.BAD, "source", "Đứng hình 5,0 giây trong 30 giây: nguồn phát"),
    (V(buffer_ms=800), AIR, Grade.FAIR, "device", "Bộ đệm 800 ms: máy tính của xã"),
    (V(loss_ratio=0.5), SourceFigures(on_air=False), Grade.GOOD, "waiting", "Đã vào, đang chờ"),
    (V(), LOSSY_UPLINK, Grade.GOOD, "none", "Hình và tiếng ổn định"),
]


@pytest.mark.parametrize(("viewer", "source", "grade", "cause", "reason"), ROWS)
def test_verdict_on_a_viewer(
    viewer: ViewerFigures, source: SourceFigures, grade: Grade, cause: str, reason: str
) -> None:
    verdict = grade_viewer(viewer, source, "commune")
    assert (verdict.grade, verdict.cause) == (grade, cause)
    assert verdict.reason_vi.startswith(reason)
    assert verdict.reason_en


def test_a_ward_is_called_a_ward() -> None:
    verdict = grade_viewer(V(loss_ratio=0.04), AIR, "ward")
    assert verdict.reason_vi == "Mất gói 4 %: đường truyền của phường"
    assert verdict.reason_en == "4 % packet loss: the ward's line"


def test_a_commune_is_as_good_as_its_worst_screen() -> None:
    good = grade_viewer(V(), AIR, "commune")
    bad = grade_viewer(V(rtt_ms=700), AIR, "commune")
    fair = grade_viewer(V(rtt_ms=400), AIR, "commune")
    assert grade_commune([good, bad, fair], "commune") is bad


def test_gone_and_never_here() -> None:
    lost = grade_commune([], "commune", left_at="08:05")
    absent = grade_commune([], "commune")
    assert (lost.grade, lost.reason_vi) == (Grade.LOST, "Mất kết nối từ 08:05")
    assert (absent.grade, absent.reason_vi) == (Grade.ABSENT, "Chưa vào")


def test_every_grade_has_a_word() -> None:
    assert set(GRADE_WORDS_VI) == set(Grade)


_ratio = st.floats(0, 1)
_maybe_ms = st.none() | st.floats(0, 1e6)
_figures = st.builds(
    ViewerFigures,
    loss_ratio=_ratio,
    jitter_ms=_maybe_ms,
    rtt_ms=_maybe_ms,
    nack_ratio=st.none() | st.floats(0, 100),
    fps=st.none() | st.floats(0, 1000),
    freeze_count=st.integers(0, 10**6),
    freeze_s=st.floats(0, 1e6),
    buffer_ms=_maybe_ms,
    concealed_ratio=st.none() | _ratio,
)
_source = st.builds(
    SourceFigures,
    on_air=st.booleans(),
    fps=st.none() | st.floats(0, 1000),
    loss_ratio=_ratio,
    steady=st.booleans(),
)
_rank = {Grade.GOOD: 0, Grade.FAIR: 1, Grade.BAD: 2}


@given(_figures, _source)
def test_any_figures_get_a_verdict(viewer: ViewerFigures, source: SourceFigures) -> None:
    verdict = grade_viewer(viewer, source, "commune")
    assert isinstance(verdict, Verdict)
    assert verdict.grade in _rank
    assert (verdict.symptom == "") == (verdict.grade is Grade.GOOD)


@given(_figures, _source, st.floats(0, 1))
def test_more_loss_is_never_better(
    viewer: ViewerFigures, source: SourceFigures, more: float
) -> None:
    values = {**viewer.__dict__, "loss_ratio": min(1.0, viewer.loss_ratio + more)}
    before = grade_viewer(viewer, source, "commune")
    after = grade_viewer(ViewerFigures(**values), source, "commune")
    assert _rank[after.grade] >= _rank[before.grade]
    assert math.isfinite(viewer.loss_ratio)


def test_a_weak_line_is_said_in_the_words_of_the_page() -> None:
    source = SourceFigures(on_air=True, fps=30.0)
    reduced = grade_viewer(
        ViewerFigures(layers_below=1, fps=15.0, sent_fps=15.0), source, "commune"
    )
    assert (reduced.grade, reduced.cause) == (Grade.FAIR, "line")
    assert reduced.reason_vi == "Hình giảm nét: đường truyền của xã"
    sound = grade_viewer(ViewerFigures(layers_below=2, fps=0.0, sent_fps=0.0), source, "ward")
    assert (sound.grade, sound.cause) == (Grade.BAD, "line")
    assert sound.reason_vi == "Chỉ còn tiếng: đường truyền của phường"


def test_a_small_layer_is_judged_by_its_own_frames() -> None:
    source = SourceFigures(on_air=True, fps=30.0)
    verdict = grade_viewer(ViewerFigures(fps=15.0, sent_fps=15.0), source, "commune")
    assert verdict.grade is Grade.GOOD

"""The roster of the province, and what a roster file may not say."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from hub.roster import Roster, RosterError

TONES = {"\u0300": "huyen", "\u0301": "sac", "\u0309": "hoi", "\u0303": "nga", "\u0323": "nang"}
PILOT2 = {
    *("Đường An", "Nguyễn Lương Bằng", "Tân An", "Tân Kỳ", "Gia Phúc", "Thạch Khôi", "Mao Điền"),
    *("An Phú", "Nhị Chiểu", "Hà Bắc", "Kim Thành"),
}


def ascii_slug(name: str) -> str:
    folded = unicodedata.normalize("NFD", name.lower().replace("đ", "d"))
    return "-".join("".join(c for c in folded if not unicodedata.combining(c)).split())


def last_tone(name: str) -> str:
    last = unicodedata.normalize("NFD", name.split()[-1])
    return next((TONES[c] for c in last if c in TONES), "ngang")


def test_the_province() -> None:
    roster = Roster.load()
    assert Counter(c.kind for c in roster.communes) == {"ward": 21, "commune": 43}
    assert roster.pilot.name == "Lê Đại Hành"
    assert {c.name for c in roster.communes if c.role == "pilot2"} == PILOT2
    assert len(roster.viewers) == 63
    assert roster.pilot not in roster.viewers


def test_slugs_are_the_names_in_ascii_with_the_tone_where_two_fall_together() -> None:
    communes = Roster.load().communes
    shared = Counter(ascii_slug(c.name) for c in communes)
    for commune in communes:
        plain = ascii_slug(commune.name)
        wanted = plain if shared[plain] == 1 else f"{plain}-{last_tone(commune.name)}"
        assert commune.slug == wanted
    assert {c.slug for c in communes if shared[ascii_slug(c.name)] > 1} == {
        "cam-giang-ngang",
        "cam-giang-huyen",
    }


def test_names_carry_their_kind() -> None:
    roster = Roster.load()
    names = [c.display_name for c in map(roster.by_slug, ("an-phu", "thanh-dong")) if c]
    assert names == ["Xã An Phú", "Phường Thành Đông"]
    assert roster.by_slug("ha-noi") is None


PILOT = "  - {slug: le-dai-hanh, name: Lê Đại Hành, kind: ward, role: pilot}\n"
AN_PHU = "  - {slug: an-phu, name: An Phú, kind: commune}\n"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (PILOT + AN_PHU + AN_PHU, "two communes have the same slug"),
        (AN_PHU, "exactly one pilot, not 0"),
        (PILOT + PILOT.replace("le-dai-hanh", "b"), "exactly one pilot, not 2"),
        (PILOT + AN_PHU.replace("an-phu", "An_Phú"), "only a-z, 0-9 and single dashes"),
        (PILOT + AN_PHU.replace("kind: commune", "kind: town"), "communes.1.kind"),
        (PILOT + AN_PHU.replace("kind", "size: 1, kind"), "communes.1.size"),
        ("  - [", "is not YAML"),
    ],
)
def test_a_bad_roster_is_refused_with_its_file_and_fault(
    tmp_path: Path, body: str, fault: str
) -> None:
    path = tmp_path / "roster.yaml"
    path.write_text("communes:\n" + body, encoding="utf-8")
    with pytest.raises(RosterError, match=fault) as refusal:
        Roster.load(path)
    assert str(path) in str(refusal.value)


def test_a_missing_roster_is_named(tmp_path: Path) -> None:
    with pytest.raises(RosterError, match="cannot be read"):
        Roster.load(tmp_path / "none.yaml")

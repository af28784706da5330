"""Half a minute of chaos with a fixed seed: everybody is back, nothing has leaked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.chaos import run


@pytest.mark.timeout(240)
def test_everybody_watches_after_a_storm(tmp_path: Path) -> None:
    found = run(0.6, seed=7, folder=tmp_path, settle_s=6)
    print(f"\n{found}")
    assert sum(found["events"].values()) >= 3
    assert found["connected"] == 63
    assert found["faults"] == []

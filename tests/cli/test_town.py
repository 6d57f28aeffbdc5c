"""`navforge town` from the command line: one world per folder, resumable, honest about its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from navforge.cli.main import main
from navforge.town.scales import SCALES, PlanConfig, Scale, SplitPlan

WORDS = ["scale=tiny", "sensors=none", "workers=1"]


@pytest.fixture
def one_log(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "us-ma-boston"
    scale = Scale({place: PlanConfig(rows=3, columns=3)}, (SplitPlan("train", 1, 15, (place,)),))
    monkeypatch.setitem(SCALES, "tiny", scale)


@pytest.mark.usefixtures("one_log")
def test_a_finished_log_is_kept_and_another_world_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["town", f"out={tmp_path}", *WORDS]
    assert main([*words, "seed=3"]) == 0
    log = next((tmp_path / "navsim_logs" / "train").glob("*.pkl"))
    before = log.stat().st_mtime_ns
    assert main([*words, "seed=3"]) == 0
    assert log.stat().st_mtime_ns == before
    assert main([*words, "seed=4"]) == 2
    assert "another configuration" in capsys.readouterr().err
    assert "turns" not in (tmp_path / "town.config.yaml").read_text()


def test_images_of_another_shape_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["town", f"out={tmp_path}", "image_width=480", "image_height=300"]) == 2
    assert "16:9" in capsys.readouterr().err

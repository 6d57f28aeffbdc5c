"""The whole road, small: every stage of the demo, its page, and what a second run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from navforge.cli import demo
from navforge.cli.main import main
from navforge.evaluation import tables, trajectories
from navforge.vocabulary.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", f"out={out}", "scale=tiny", "workers=1"]) == 0
    return out


@pytest.mark.slow
def test_every_stage_leaves_its_result(made: Path) -> None:
    assert (made / "report" / "index.html").stat().st_size > 100_000
    plans = {label: trajectories.read(made / "evaluation" / demo.folder(label) / "plans.npz") for label in demo.AGENTS}
    scores = {label: tables.read(made / "evaluation" / demo.folder(label) / "scores.parquet") for label in demo.AGENTS}
    scenes = set(plans["human"].tokens)
    assert len(scenes) >= 3
    for label in demo.AGENTS:
        assert set(plans[label].tokens) == scenes
        assert scores[label].meta.complete
        assert scores[label].meta.protocols == demo.PROTOCOLS
    assert scores[demo.PLANNER].meta.checkpoint == scores[demo.BLANKED].meta.checkpoint
    chosen = plans[demo.PLANNER].poses[:, 0]
    entries = Vocabulary.load(made / "vocabulary" / "vocabulary_8.npy").poses
    assert all(any(abs(plan - entry).max() < 1e-5 for entry in entries) for plan in chosen)


@pytest.mark.slow
def test_comparison_is_written_and_honest(made: Path) -> None:
    found = json.loads((made / "comparison.json").read_text())
    assert set(found["agents"]) == set(demo.AGENTS)
    for claim in found["claims"]:
        low = claim["interval_over_scenes"][0]
        assert claim["holds"] is (low is not None and low > 0)


@pytest.mark.slow
def test_a_second_run_does_nothing_and_a_deleted_result_comes_back(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = made / "report" / "index.html"
    before = page.read_bytes()
    page.unlink()
    assert main(["demo", f"out={made}", "scale=tiny", "workers=1"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("done before") == len(demo.stages(demo.Config(out=made, scale="tiny"))) - 1
    assert page.is_file()
    assert abs(len(page.read_bytes()) - len(before)) < 5_000


def test_the_small_demo_is_what_the_issue_asks_for(tmp_path: Path) -> None:
    """256 entries, both splits taught, five evaluations on held-out logs under both protocols, a page."""
    stages = {stage.name: stage for stage in demo.stages(demo.Config(out=tmp_path))}
    assert stages["vocabulary"].config.size == 256
    assert stages["town"].config.scale == "small"
    assert stages["train hydra_mdp_tiny"].config.split == "train"
    evaluations = [stage for name, stage in stages.items() if name.startswith("evaluate ")]
    assert [stage.name.removeprefix("evaluate ") for stage in evaluations] == list(demo.AGENTS)
    assert {stage.config.split for stage in evaluations} == {"test"}
    assert {stage.config.protocol for stage in evaluations} == {"pdms_v1,epdms_v2"}
    assert [stage.config.blank_camera for stage in evaluations] == [False, False, False, False, True]
    names = list(stages)
    for stage in stages.values():
        assert all(names.index(need) < names.index(stage.name) for need in stage.needs)

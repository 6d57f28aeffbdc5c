"""The whole road, small: every stage of the demo, its page, and what a second run does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from navforge.cli import demo, demo_plan
from navforge.cli.main import main
from navforge.core.errors import NavforgeError
from navforge.evaluation import tables, trajectories
from navforge.evaluation.comparison import Claim
from navforge.statistics.intervals import Interval
from navforge.vocabulary.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", f"out={out}", "scale=tiny", "workers=1"]) == 0
    return out


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


def test_comparison_is_written_and_honest(made: Path) -> None:
    found = json.loads((made / "comparison.json").read_text())
    assert set(found["agents"]) == set(demo.AGENTS)
    for claim in found["claims"]:
        low = claim["interval_over_logs"][0]
        assert claim["holds"] is (low is not None and low > 0)


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


def claims(**low: float) -> list[Claim]:
    """Claims of the demo that all hold, but for the lower bounds given by second agent and protocol."""
    pairs = ((demo.PLANNER, "constant_velocity"), (demo.PLANNER, "ego_mlp"), (demo.PLANNER, "blanked"))
    found = []
    for protocol in demo.PROTOCOLS:
        for first, second in (*pairs, ("human", demo.PLANNER)):
            bound = low.get(f"{second}_{protocol}", 0.01)
            interval = Interval(mean=bound + 0.02, low=bound, high=bound + 0.04, scenes=9, clusters=9)
            words = f"{first} over {second}"
            found.append(
                Claim(first=first, second=second, protocol=protocol, words=words, by_log=interval, by_scene=interval)
            )
    return found


@pytest.mark.parametrize("second", ["constant_velocity", "ego_mlp", "blanked"])
def test_a_claim_that_is_not_shown_fails_the_demo(second: str) -> None:
    with pytest.raises(NavforgeError, match=f"DEMO FAILED.*over {second}: \\+2.0 points; everything is written"):
        demo.require(claims(**{f"{second}_pdms_v1": 0.0}))


def test_two_failed_claims_are_both_named() -> None:
    with pytest.raises(NavforgeError, match=r"over ego_mlp: -8.0 points; .*over blanked: \+1.0 points"):
        demo.require(claims(ego_mlp_pdms_v1=-0.1, blanked_pdms_v1=-0.01))


def test_other_rules_and_the_human_do_not_fail_the_demo() -> None:
    demo.require(claims())
    demo.require(claims(ego_mlp_epdms_v2=-0.1, hydra_mdp_tiny_pdms_v1=-0.1))


@pytest.mark.parametrize(("scale", "status"), [("small", 2), ("tiny", 0)])
def test_only_the_demonstration_fails_and_last(
    scale: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "run_stages", lambda *_: [])
    monkeypatch.setattr(demo.tables, "read", lambda _: None)
    monkeypatch.setattr(demo.summary, "summarise", lambda _: {})
    for name in ("distribution_table", "scores_table"):
        monkeypatch.setattr(demo.comparison, name, lambda *_: "")
    monkeypatch.setattr(demo.comparison, "to_json", lambda *_: {})
    monkeypatch.setattr(demo, "check_claims", lambda _: claims(ego_mlp_pdms_v1=-0.1))
    assert main(["demo", f"out={tmp_path}", f"scale={scale}"]) == status
    captured = capsys.readouterr()
    report = f"report: {demo_plan.report_path(tmp_path)}"
    last = captured.out.splitlines()[-2:] if status == 0 else captured.out.splitlines()[-1:]
    assert last[0] == report and (status == 2 or last[1].endswith("navforge demo study=labels"))
    assert ("DEMO FAILED" in captured.err) is (status == 2)
    assert (tmp_path / "comparison.json").is_file()


def test_a_folder_of_the_users_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = tmp_path / "world" / "thesis.txt"
    theirs.parent.mkdir()
    theirs.write_text("years of work")
    assert main(["demo", f"out={tmp_path}", "scale=tiny", "workers=1"]) == 2
    assert "was not made by navforge demo; give another out=" in capsys.readouterr().err
    assert theirs.read_text() == "years of work"


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

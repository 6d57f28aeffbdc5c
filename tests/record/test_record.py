"""The record of experiments: every run with its state, evaluations matched by checkpoint, commands to repeat it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml

from navforge.cli.main import main
from navforge.core.files import file_fingerprint, write_json
from navforge.evaluation import tables
from navforge.launch import snapshot, start
from navforge.record.record import read_record
from navforge.record.runs import RecordedRun
from navforge.record.siblings import differences
from navforge.reports.experiment_record import record_markdown, runs_frame, scores_frame, write_record
from navforge.reports.record_cards import cards
from navforge.reports.record_tables import record_sections
from navforge.runs import status
from navforge.runs.folder import RunFolder
from navforge.slurm.profile import read_profile
from navforge.training.config import LabelConfig
from navforge.training.recipes.catalog import recipe
from navforge.training.run_config import RunConfig
from tests.evaluation.made import small_table
from tests.jobs.made import beat, failure, make_run, record

WEIGHTS = b"weights of seed 0"


@pytest.fixture(autouse=True)
def _no_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots take a while."""
    monkeypatch.setattr(snapshot, "take", lambda code, **_: code.mkdir(exist_ok=True))


def prepare(path: Path, agent: str = "ego_mlp", **changes: object) -> RunFolder:
    """A run folder as the launcher leaves it before ranks start."""
    folder = RunFolder(path)
    chosen = recipe(agent)
    train = replace(chosen.train, **{"batch_size": 4, "loader_workers": 0, **changes.pop("train", {})})  # type: ignore[dict-item]
    config = RunConfig(
        agent=agent, split="train", out=path, cache=path.parent / "cache", planner=chosen.planner, train=train
    )
    config = replace(config, **changes)  # type: ignore[arg-type]
    profile = read_profile("l40s_4x4") if config.nodes > 1 else None
    start.prepare(folder, config, profile=profile)
    return folder


def finish(folder: RunFolder) -> None:
    folder.checkpoints.mkdir()
    (folder.checkpoints / "best.ckpt").write_bytes(WEIGHTS)
    training = {
        **{"seconds": 7200.0, "gpu_hours": 32.0, "samples": 6000, "train_loss": 0.4, "val_loss": 0.5},
        **{"train_score": None, "val_score": None, "epochs_to_90": None, "epochs_to_95": None},
    }
    write_json(folder.finished, {"epochs": 20, "steps": 1500, "training": training})


def evaluate(path: Path, checkpoint: Path, *, fingerprint: str | None = None) -> None:
    """An evaluation's folder, as far as the record reads it."""
    path.mkdir(parents=True)
    mark = fingerprint or file_fingerprint(checkpoint)
    tables.write(path / "scores.parquet", small_table(agent="ego_mlp", checkpoint=mark, trajectories=path.name))
    (path / "summary.json").write_text("{}")
    (path / "evaluate.config.yaml").write_text(
        yaml.safe_dump({"agent": "ego_mlp", "checkpoint": str(checkpoint), "out": str(path)})
    )
    command = ["/opt/bin/navforge", "evaluate", "agent=ego_mlp", f"checkpoint={checkpoint}", f"out={path}"]
    write_json(path / "evaluate.provenance.json", {"command": command, "directory": "/home/user"})


def run_of(found: tuple[RecordedRun, ...], name: str) -> RecordedRun:
    return next(run for run in found if run.name == name)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three seeds, of which the last has not started, with evaluations of the first."""
    root = tmp_path / "runs"
    for seed in range(3):
        prepare(root / "study" / f"seed_{seed}", train={"seed": seed})
    first = RunFolder(root / "study" / "seed_0")
    finish(first)
    evaluate(root / "scores" / "of_seed_0", first.checkpoints / "best.ckpt")
    evaluate(root / "scores" / "of_another", Path("/gone/run/checkpoints/best.ckpt"), fingerprint="0" * 16)
    return root


def test_the_baseline(tmp_path: Path) -> None:
    """Hydra-MDP V8192-W-EP on 4 x 4 L40S, 40 epochs, mixed precision, a tenth of the labels."""
    prepare(
        tmp_path / "runs" / "baseline",
        "hydra_mdp_v8192_w_ep",
        split="navtrain",
        nodes=4,
        devices=4,
        train={"epochs": 40, "batch_size": 32},
        labels=LabelConfig(fraction=0.1),
        vocabulary=tmp_path / "vocabulary_8192.npy",
        teacher=tmp_path / "teacher",
    )
    found = read_record(tmp_path / "runs")
    (card,) = cards(found)
    facts = dict(card.facts)
    assert facts["planner"] == "hydra_mdp_v8192_w_ep"
    assert facts["encoder"].startswith("transfuser; ") and "network resnet34" in facts["encoder"]
    assert "panorama.height 256" in facts["encoder"] and "latent false" in facts["encoder"]
    assert facts["head"].startswith("hydra_mdp; protocol pdms_v1") and "inference.ego_progress 5.0" in facts["head"]
    assert facts["trains for"] == "40 epochs; done: nothing yet"
    assert facts["ranks"] == "16 (4 x 4, slurm on l40s_4x4); 32 scenes each, 512 a step"
    assert facts["precision"] == "16-mixed"
    assert facts["labels"] == "10 % of the split, by log"
    assert facts["data"].startswith("split navtrain (hash not recorded), scenes not recorded")
    assert facts["state"] == "not started; prepared"
    assert facts["reads"].startswith("cache ") and facts["reads"].endswith(f"teacher {tmp_path / 'teacher'}")
    assert "vocabulary_8192.npy" in card.script, "what it reads is named, though nothing of it is here"
    row = runs_frame(found).to_dicts()[0]
    assert (row["agent"], row["precision"], row["cause"]) == ("hydra_mdp_v8192_w_ep", "16-mixed", "not_started")
    assert row["weights"] is None and row["hours"] is None, "not recorded"


def test_what_differs_is_said_against_most_siblings(runs: Path) -> None:
    found = read_record(runs)
    assert [run.name for run in found.runs] == ["study/seed_0", "study/seed_1", "study/seed_2"]
    assert found.differences["study/seed_1"] == {"train.seed": "1"}, "no seed is that of most"
    prepare(runs / "study" / "slow", train={"seed": 1, "learning_rate": 0.5})
    prepare(runs / "study" / "again", train={"seed": 1})
    prepare(runs / "study" / "once_more", train={"seed": 1})
    found = read_record(runs)
    assert found.differences["study/again"] == {}
    assert found.differences["study/slow"] == {"train.learning_rate": "0.5"}
    assert found.differences["study/seed_0"] == {"train.seed": "0"}
    section = record_sections(found)[0]
    assert section.title == "Runs in study/"
    assert next(row for row in section.rows if row[1] == "slow")[3] == "train.learning_rate=0.5"


def test_differences() -> None:
    assert differences([{"a": "1"}, {"a": "1"}, {"a": "2"}]) == [{}, {}, {"a": "2"}]
    assert differences([{"a": "1"}, {"a": "2"}]) == [{"a": "1"}, {"a": "2"}]
    assert differences([{"a": "1", "b": "x"}, {"a": "1"}]) == [{}, {}], "an older run does not know b"


def test_scores_belong_to_the_run_of_their_checkpoint(runs: Path) -> None:
    found = read_record(runs)
    of = {one.name: one.run for one in found.evaluations}
    assert of == {"scores/of_another": None, "scores/of_seed_0": "study/seed_0"}
    sections = {section.title: section for section in record_sections(found)}
    mine = sections["Scores of these runs, points"].rows
    identifier = run_of(found.runs, "study/seed_0").identifier
    assert [row[2] for row in mine] == [identifier] and mine[0][5] == "epdms_v2, human filter"
    table = small_table()
    assert mine[0][7] == f"{100 * table.frame['score'].mean():.1f}"  # type: ignore[operator]
    assert [row[1] for row in sections["Scores of others, points"].rows] == ["of_another"]
    frame = scores_frame(found)
    assert frame.filter(pl.col("run") == "study/seed_0")["run_identifier"].to_list() == [identifier]


def test_moving_changes_neither_identifiers_nor_matches(runs: Path, tmp_path: Path) -> None:
    before = read_record(runs)
    shutil.move(runs, tmp_path / "elsewhere" / "archive")
    after = read_record(tmp_path / "elsewhere" / "archive")
    assert [run.identifier for run in after.runs] == [run.identifier for run in before.runs]
    assert len({run.identifier for run in after.runs}) == 3
    assert [(one.identifier, one.run) for one in after.evaluations] == [
        (one.identifier, one.run) for one in before.evaluations
    ]


def test_a_run_moved_away_from_its_evaluation_is_known_by_its_weights(runs: Path) -> None:
    shutil.move(runs / "study" / "seed_0", runs / "best")
    assert {one.name: one.run for one in read_record(runs).evaluations}["scores/of_seed_0"] == "best"


def test_weights_that_changed_since_are_told(runs: Path) -> None:
    (runs / "study" / "seed_0" / "checkpoints" / "best.ckpt").write_bytes(b"trained on")
    found = read_record(runs)
    one = next(one for one in found.evaluations if one.name == "scores/of_seed_0")
    assert one.run == "study/seed_0" and one.note.startswith("best.ckpt has changed since: it was ")
    assert one.note in record_markdown(found)


def test_every_state_has_its_row(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = runs / "study"
    failed = make_run(
        study / "failed",
        record(created="2027-01-15T08:00:01+00:00"),
        beats=(beat(phase="failed"), beat(1, phase="failed")),
        failures=(failure(1, "gpu_memory", "OutOfMemoryError: CUDA out of memory"),),
    )
    old = make_run(study / "old", record(created="2026-01-15T08:00:00+00:00"), finished=True)
    old.config.write_text("agent: ego_mlp\ntrain: {epochs: 3}\n")
    (study / "damaged").mkdir()
    (study / "damaged" / "run.json").write_text('{"agent": ')
    (study / "torn").mkdir()
    (study / "torn" / "train.config.yaml").write_text("agent: [")
    evaluate(runs / "scores" / "torn", Path("/gone"), fingerprint="1" * 16)
    (runs / "scores" / "torn" / "scores.parquet").write_bytes(b"PAR1 torn")
    (runs / "scores" / "lost").mkdir()
    (runs / "scores" / "lost" / "failures.json").write_text("[]")
    planned = {study / "seed_0": "seed 0", study / "never": "seed 9"}
    found = read_record(runs, planned)
    states = {run.name: run.state for run in found.runs}
    assert states == {
        "study/damaged": "damaged",
        "study/failed": "failed",
        "study/old": "finished",
        "study/seed_0": "finished",
        "study/seed_1": "not started",
        "study/seed_2": "not started",
        "study/torn": "damaged",
        "seed 9": "not started",
    }
    assert {one.name: one.state for one in found.evaluations} == {
        "scores/lost": "failed",
        "scores/of_another": "done",
        "scores/of_seed_0": "done",
        "scores/torn": "damaged",
    }
    sections = {section.title: section for section in record_sections(found)}
    ended = {row[1]: row for row in sections["Runs that have not finished"].rows}
    assert ended["failed"][3] == "gpu_memory: out of GPU memory"
    assert "OutOfMemoryError" in ended["failed"][4] and ended["failed"][4].startswith("failures/rank-1.json")
    assert "run.json" in ended["damaged"][3]
    rows = {row[1]: row for row in sections["Runs in study/"].rows}
    assert rows["old"][5:] == ("epochs not recorded, updates not recorded", "not recorded")
    assert rows["seed_0"][5:] == ("20 epochs, 1,500 updates, 6,000 samples", "2 h 00 min, 32 GPU hours")
    assert rows["failed"][5] == "update 120 of 1,000"
    status.append_line(failed.requests, status.Attempt(attempt=0, job=None, world_size=1, time=0.0, resumed_step=0))
    assert main(["record", f"root={runs}"]) == 0, "damaged records of requests are named, too"
    assert "gpu_memory" in capsys.readouterr().out
    written = pl.read_csv(runs / "record" / "runs.csv")
    assert written["state"].to_list().count("damaged") == 2
    assert main(["record", f"root={runs}"]) == 0, "its own folder is no run"
    assert pl.read_csv(runs / "record" / "runs.csv").equals(written)


def test_commands_in_their_order(runs: Path) -> None:
    cache = runs / "study" / "cache"
    for folder, verb, keys in (
        (runs / "town", "town", {}),
        (cache, "cache", {"data": {"logs": str(runs / "town" / "l")}}),
    ):
        folder.mkdir()
        (folder / f"{verb}.json").write_text("{}")
        (folder / f"{verb}.config.yaml").write_text(yaml.safe_dump({**keys, "out": str(folder)}))
        command = ["/opt/navforge/__main__.py", verb, f"out={folder}"]
        write_json(folder / f"{verb}.provenance.json", {"command": command, "directory": "/home/a user"})
    provenance = RunFolder(runs / "study" / "seed_0").path / "train.provenance.json"
    write_json(provenance, {"navforge": "0.2.0", "git": {"commit": "c" * 40, "dirty": False, "reason": None}})
    script = next(card for card in cards(read_record(runs)) if card.title.startswith("study/seed_0")).script
    commands = [line for line in script.splitlines() if not line.startswith("#")]
    assert commands[:4] == [
        f"git checkout {'c' * 40}",
        "cd '/home/a user'",
        f"navforge town out={runs / 'town'}",
        f"navforge cache out={cache}",
    ]
    launch = json.loads((runs / "study" / "seed_0" / start.COMMAND).read_text())
    assert commands[4] == f"cd {launch['directory']}" and launch["command"][-1] in commands[5]
    assert commands[-1].startswith("navforge evaluate agent=ego_mlp checkpoint=")


def test_the_same_bytes_again(runs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_record(read_record(runs), tmp_path / name)
    for file in ("record.md", "runs.csv", "scores.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()

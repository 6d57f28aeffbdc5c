"""Run folders made ready, and what a run that goes on keeps."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from navforge.core.errors import ConfigError, DataError
from navforge.launch import snapshot, start
from navforge.runs.folder import RunFolder
from navforge.slurm.client import SlurmError
from navforge.slurm.profile import read_profile
from navforge.training.config import TrainConfig
from navforge.training.recipes.catalog import recipe
from navforge.training.run_config import RunConfig, read_run_config

PROFILE = read_profile("l40s_4x4")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture(autouse=True)
def _small_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots take a while; here only whether one is taken counts."""

    def take(code: Path, **_: object) -> None:
        code.mkdir(exist_ok=True)
        (code / "taken").write_text(str(int((code / "taken").read_text()) + 1) if (code / "taken").exists() else "1")

    monkeypatch.setattr(snapshot, "take", take)


def config(folder: RunFolder, **train: object) -> RunConfig:
    chosen = recipe("ego_mlp")
    settings = replace(chosen.train, **{"batch_size": 4, "loader_workers": 0, **train})
    return RunConfig(
        agent="ego_mlp", split="train", out=folder.path, cache=Path("cache"), planner=chosen.planner, train=settings
    )


def checkpoint(folder: RunFolder) -> None:
    folder.checkpoints.mkdir(exist_ok=True)
    (folder.checkpoints / "last.ckpt").touch()


def test_a_local_run(folder: RunFolder) -> None:
    start.prepare(folder, replace(config(folder), devices=2))
    record = folder.read_record()
    assert (record.agent, record.launch, record.nodes, record.devices, record.jobs) == ("ego_mlp", "local", 1, 2, ())
    assert read_run_config(folder.config) == replace(config(folder), devices=2)
    assert json.loads((folder.path / start.COMMAND).read_text())["directory"] == os.getcwd()
    assert not folder.script.exists() and folder.logs.is_dir()


def test_a_slurm_run(folder: RunFolder) -> None:
    wanted = replace(config(folder), nodes=2, devices=2)
    start.prepare(folder, wanted, profile=replace(PROFILE, time_limit="03:00:00"))
    text = folder.script.read_text()
    assert "--ntasks-per-node=2" in text and "--time=03:00:00" in text and "--gres=gpu:l40s:2" in text
    assert f'--chdir="{os.getcwd()}"' in text
    assert folder.read_record().cluster == "l40s_4x4"
    assert read_profile(folder.path / start.PROFILE) == replace(PROFILE, time_limit="03:00:00")
    start.prepare(folder, replace(wanted, train=replace(wanted.train, accelerator="cpu")), profile=PROFILE)
    assert "--gres" not in folder.script.read_text()


def test_what_the_cluster_lacks_leaves_no_folder(folder: RunFolder) -> None:
    with pytest.raises(ConfigError, match="nodes: 9 asked for"):
        start.prepare(folder, replace(config(folder), nodes=9), profile=PROFILE)
    assert not folder.path.exists()


def test_auto_must_have_been_chosen(folder: RunFolder) -> None:
    with pytest.raises(ConfigError, match=r"train\.batch_size: auto is chosen by the preflight"):
        start.prepare(folder, config(folder, batch_size=None))


def test_jobs_stay_and_code_is_taken_again_only_while_there_is_no_checkpoint(folder: RunFolder) -> None:
    start.prepare(folder, config(folder))
    created = folder.read_record().created
    folder.add_job("7")
    start.prepare(folder, config(folder))
    assert (folder.code / "taken").read_text() == "2"
    checkpoint(folder)
    start.prepare(folder, config(folder))
    assert (folder.code / "taken").read_text() == "2"
    start.prepare(folder, config(folder), new_code=True)
    assert (folder.code / "taken").read_text() == "3"
    record = folder.read_record()
    assert record.jobs == ("7",) and record.created == created
    folder.add_job("7")
    assert folder.read_record().jobs == ("7",)


def test_numbers_chosen_for_auto_stay(folder: RunFolder) -> None:
    start.prepare(folder, config(folder, batch_size=3, loader_workers=2))
    found = start.continued(config(folder, batch_size=None, loader_workers=None), folder)
    assert (found.train.batch_size, found.train.loader_workers) == (3, 2)
    assert start.continued(config(folder, batch_size=3, loader_workers=5), folder).train.loader_workers == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": {"learning_rate": 0.5}}, r"train\.learning_rate \(.* -> 0\.5\)"),
        ({"agent": "other"}, r"agent \(ego_mlp -> other\)"),
        ({"devices": 2}, r"nodes x devices \(1 -> 2\)"),
    ],
)
def test_another_run_is_refused(folder: RunFolder, change: dict[str, object], words: str) -> None:
    start.prepare(folder, config(folder))
    train = change.pop("train", {})
    assert isinstance(train, dict)
    with pytest.raises(ConfigError, match=words):
        start.continued(replace(config(folder, **train), **change), folder)


def test_the_same_ranks_may_be_placed_otherwise(folder: RunFolder) -> None:
    start.prepare(folder, replace(config(folder), nodes=2, devices=2), profile=PROFILE)
    assert start.continued(replace(config(folder), nodes=1, devices=4), folder).devices == 4


def test_submitting_notes_the_job(folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"job\.sbatch does not exist"):
        start.submit(folder)
    start.prepare(folder, config(folder), profile=PROFILE)
    (tmp_path / "sbatch").write_text('#!/bin/bash\n[ "$1" = --parsable ] && [ -f "$2" ] && echo 41\n')
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert start.submit(folder) == "41" and folder.read_record().jobs == ("41",)


def test_a_refusal_of_slurm_is_kept_until_a_job_is_accepted(
    folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start.prepare(folder, config(folder), profile=PROFILE)
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/bash\necho 'sbatch: error: Invalid account' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SlurmError, match="Invalid account"):
        start.submit(folder)
    assert folder.submission == folder.logs / "submission.txt"
    assert folder.submission.read_text() == "sbatch failed: sbatch: error: Invalid account\n"
    sbatch.write_text("#!/bin/bash\necho 42\n")
    assert start.submit(folder) == "42" and not folder.submission.exists()


@pytest.mark.parametrize(
    ("name", "counts"),
    [("last.ckpt", True), ("previous.ckpt", True), (".untrained.ckpt", False), ("damaged.ckpt", False)],
)
def test_what_a_run_can_go_on_from(folder: RunFolder, name: str, counts: bool) -> None:
    folder.checkpoints.mkdir(parents=True)
    (folder.checkpoints / name).touch()
    assert start.has_checkpoint(folder) == counts


def test_the_config_of_a_run_is_plain_yaml(folder: RunFolder) -> None:
    start.prepare(folder, config(folder))
    values = yaml.safe_load(folder.config.read_text())
    assert values["train"]["batch_size"] == 4 and "launch" not in values
    assert set(values["train"]) == {field for field in vars(TrainConfig())}

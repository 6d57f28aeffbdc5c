"""`navforge train`: which commands are refused, and what is done with a folder that holds a run already."""

from __future__ import annotations

import dataclasses
import os
import socket
from pathlib import Path

import pytest

from navforge.cli import train
from navforge.cli.keys import train as keys
from navforge.cli.main import main
from navforge.core.errors import ConfigError
from navforge.core.files import sole_use, write_json
from navforge.launch import snapshot, start
from navforge.runs import exits, status
from navforge.runs.folder import RunFolder
from navforge.runs.processes import local_job
from navforge.runs.status import Failure
from navforge.training.run_config import RunConfig

WORDS = ["agent=ego_mlp", "split=s", "cache=c", "train.batch_size=2", "train.loader_workers=0", "preflight=false"]
BYGONE = f"{socket.gethostname()}.{os.getpid()}.1"
"""A supervisor that is dead: this process began later."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(start, "local_job", lambda: BYGONE)
    monkeypatch.setattr(snapshot, "take", lambda code, **_: code.mkdir(exist_ok=True))
    monkeypatch.setattr(snapshot, "is_current", lambda code, **_: False)
    return RunFolder(tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["launch=slurm"], r"cluster: launch=slurm needs a profile: cluster=NAME or FILE"),
        (["cluster=x.yaml"], "cluster: a profile is for launch=slurm"),
        (["nodes=2"], "nodes: launch=local starts ranks on this machine only, not on 2"),
        (["time_limit=10"], "time_limit: only Slurm jobs have one"),
        (["launch=torchrun"], "launch: expected one of local, slurm"),
    ],
)
def test_refused_words(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        keys.configure([*WORDS, "out=o", *words])


def words(folder: RunFolder, *more: str) -> list[str]:
    keys = [word.partition("=")[0] for word in more]
    return ["train", *(word for word in WORDS if word.partition("=")[0] not in keys), f"out={folder.path}", *more]


def test_the_status_of_the_ranks_is_that_of_the_command(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for ended, said in (
        (exits.FINISHED, "best checkpoint"),
        (exits.REQUEUE_ME, "stopped before its first checkpoint; the same command starts from the beginning"),
        (137, f"a rank ended with exit status 137 (SIGKILL); its log is in {folder.logs}"),
    ):
        monkeypatch.setattr(start, "start_here", lambda folder, attempt, ended=ended: ended)
        assert main(words(folder)) == ended
        captured = capsys.readouterr()
        assert said in captured.out + captured.err


def test_a_run_that_goes_on_is_left_alone(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    start.prepare(folder, train.run_config(keys.configure([*WORDS, f"out={folder.path}"])))
    folder.add_job(local_job())  # this very process
    assert main(words(folder)) == 2
    said = capsys.readouterr().err
    assert f"{folder.path} is starting as job {local_job()}" in said and "navforge jobs cancel" in said


def test_a_finished_run_is_not_run_again(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start.prepare(folder, train.run_config(keys.configure([*WORDS, f"out={folder.path}"])))
    write_json(folder.finished, {})
    monkeypatch.setattr(start, "start_here", lambda folder, attempt: pytest.fail("started"))
    assert main(words(folder)) == 0 and "is finished" in capsys.readouterr().out
    for word, said in (
        ("train.seed=7", "train.seed (0 -> 7)"),
        ("train.epochs=99", "-> 99)"),
        ("agent=transfuser_tiny", "agent (ego_mlp -> transfuser_tiny)"),
        ("devices=2", "nodes x devices (1 -> 2)"),
        ("split=other", "split ("),
        ("labels.fraction=0.25", "labels.fraction (1.0 -> 0.25)"),
        ("labels.by=scene", "labels.by (log -> scene)"),
    ):
        assert main(words(folder, word)) == 2
        error = capsys.readouterr().err
        assert "holds a run that differs in" in error and said in error
    assert main(words(folder, "train.accelerator=cpu", "code=new")) == 0


def test_a_run_with_a_checkpoint_keeps_config_and_code(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start, "start_here", lambda folder, attempt: exits.FINISHED)
    assert main(words(folder)) == 0
    folder.checkpoints.mkdir()
    (folder.checkpoints / "last.ckpt").touch()
    assert main(words(folder, "train.learning_rate=0.5")) == 2
    assert "holds a run that differs in train.learning_rate" in capsys.readouterr().err
    assert main(words(folder)) == 0
    assert "continuing with the code the run started with" in capsys.readouterr().out


def test_slurm_refusals_are_said_in_one_line(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(words(folder, "launch=slurm", "cluster=l40s_4x4")) == 2
    assert "navforge: error: sbatch: no such command" in capsys.readouterr().err
    assert folder.script.is_file() and folder.read_record().jobs == ()


def test_ranks_are_no_verb_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    assert "\n  rank " not in capsys.readouterr().out


def test_tasks_of_srun_do_not_each_start_the_run(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    assert main(words(folder)) == 2
    assert "one of 8 tasks that srun started" in capsys.readouterr().err and not folder.path.exists()


def test_the_time_limit_of_the_command_wins() -> None:
    config = keys.configure([*WORDS, "out=o", "launch=slurm", "cluster=l40s_4x4", "time_limit=03:00:00"])
    profile = config.profile()
    assert profile is not None and profile.time_limit_s == 3 * 3600
    with pytest.raises(ConfigError, match="leaves nothing before the signal"):
        dataclasses.replace(config, time_limit="00:01:00").profile()


def test_a_run_that_stopped_goes_on_from_its_checkpoint(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(folder: RunFolder, attempt: int) -> int:
        folder.checkpoints.mkdir()
        (folder.checkpoints / "last.ckpt").touch()
        return exits.STOPPED

    monkeypatch.setattr(start, "start_here", stop)
    assert main(words(folder)) == exits.STOPPED
    assert "stopped after a checkpoint; run the same command again to resume from it" in capsys.readouterr().err


def test_a_run_started_elsewhere_during_the_preflight_is_left_alone(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def checked(config: keys.Config, wanted: RunConfig, profile: object) -> RunConfig:
        start.prepare(folder, wanted)
        folder.add_job(local_job())
        return wanted

    monkeypatch.setattr(train, "_checked", checked)
    monkeypatch.setattr(start, "start_here", lambda folder, attempt: pytest.fail("started"))
    assert main(words(folder, "preflight=true")) == 2
    assert f"{folder.path} is starting as job {local_job()}" in capsys.readouterr().err


def test_two_starts_at_the_same_time(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with sole_use(folder.path):
        assert main(words(folder)) == 2
    assert f"another process works in {folder.path} just now; wait for it" in capsys.readouterr().err
    assert not folder.record_file.exists()
    attempts: list[int] = []

    def begin(folder: RunFolder, attempt: int) -> int:
        with sole_use(folder.path):  # let go of once the job is noted
            assert folder.read_record().jobs == (BYGONE,)
        attempts.append(attempt)
        return exits.FINISHED

    monkeypatch.setattr(start, "start_here", begin)
    assert main(words(folder)) == 0 and attempts == [0]


def test_a_rank_that_lost_its_peer_is_not_what_failed_first(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    causes = ["peer", "non_finite"]

    def fail(folder: RunFolder, attempt: int) -> int:
        for rank, cause in enumerate(causes):
            failure = Failure(rank=rank, attempt=0, cause=cause, error=f"of {cause}", traceback="", time=0.0)
            status.write(folder.failure_file(rank), failure)
            os.utime(folder.failure_file(rank), (rank, rank))
        return 137

    monkeypatch.setattr(start, "start_here", fail)
    assert main(words(folder)) == 137 and "error: rank 1: of non_finite" in capsys.readouterr().err
    causes[1] = "peer"
    assert main(words(folder)) == 137 and "error: a rank ended with exit status 137" in capsys.readouterr().err

"""A local run of two ranks: stopped by a signal it goes on by the same command, killed it says which rank died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from navforge.cli.main import main
from navforge.runs import exits, status
from navforge.runs.folder import RunFolder
from navforge.runs.status import RankStatus, read_attempts
from tests.e2e.world import World
from tests.slurm_cluster.cluster import WAIT_S, wait_for


def begin(command: list[str]) -> subprocess.Popen[str]:
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", "navforge", *command]
    return subprocess.Popen(program, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for_step(folder: RunFolder, step: int) -> None:
    wait_for(lambda: folder.steps.is_file() and len(folder.steps.read_text().splitlines()) > step, f"step {step}")


def pid_of(folder: RunFolder, *, rank: int, attempt: int) -> int:
    """Of a rank, once it has told of itself."""

    def told() -> int | None:
        beat = status.read(folder.status_file(rank), RankStatus)
        return beat.pid if beat is not None and beat.attempt == attempt else None

    return wait_for(told, f"rank {rank} of attempt {attempt}")


@pytest.mark.slow
def test_stopped_and_killed_runs_go_on_by_the_same_command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = RunFolder(tmp_path / "run")
    command = world.words(folder.path, devices=2, **{"train.epochs": 80})  # eight steps each

    first = begin(command)
    wait_for_step(folder, 20)
    pid = pid_of(folder, rank=1, attempt=0)
    os.kill(pid, signal.SIGSTOP)  # and thereby the run stays at its step, however fast the machine
    assert main(command) == exits.USER_ERROR, "two supervisors of one run"
    assert f"is training as job {folder.read_record().jobs[0]}" in capfd.readouterr().err
    first.send_signal(signal.SIGINT)
    os.kill(pid, signal.SIGCONT)
    assert first.wait(WAIT_S) == exits.STOPPED
    assert first.stdout is not None and "run the same command again to resume" in first.stdout.read()

    second = begin(command)
    wait_for(lambda: len(read_attempts(folder.attempts)) == 2, "the second attempt")
    os.kill(pid_of(folder, rank=1, attempt=1), signal.SIGKILL)
    # Its peer fails a moment later; the supervisor may see both ends at once.
    assert second.wait(WAIT_S) in (128 + signal.SIGKILL, exits.FAILED)
    assert second.stdout is not None and f"navforge diagnose {folder.path}" in second.stdout.read()

    assert main(command) == exits.FINISHED
    rows = folder.steps.read_text().splitlines()[1:]
    assert [int(row.partition(",")[0]) for row in rows] == list(range(1, 641))
    attempts = read_attempts(folder.attempts)
    assert [entry.attempt for entry in attempts] == [0, 1, 2] and attempts[1].resumed_step >= 20
    ends = {(end.attempt, end.rank): (end.status, end.asked) for end in status.read_lines(folder.exits, exits.RankExit)}
    assert ends[0, 0] == ends[0, 1] == (exits.STOPPED, True)
    assert ends[1, 1] == (-signal.SIGKILL, False) and ends[1, 0][0] != exits.FINISHED
    assert ends[2, 0] == ends[2, 1] == (exits.FINISHED, False)
    assert len(folder.read_record().jobs) == 3
    assert main(command) == exits.FINISHED and "is finished" in capfd.readouterr().out

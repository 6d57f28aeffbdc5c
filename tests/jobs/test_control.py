"""Ending and restarting runs: ranks get to write a checkpoint, it is said whether they did, nonsense is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from navforge.jobs import control
from navforge.jobs.cluster import Answer, SlurmJob
from navforge.jobs.control import RefusedError
from navforge.models.checkpoints import KEY, write_values
from navforge.runs.folder import RunFolder
from navforge.runs.requests import Request
from navforge.runs.status import read_lines
from tests.jobs.made import GONE_PID, alive_beat, beat, make_run, record
from tests.slurm_cluster.cluster import WAIT_S

SUPERVISOR = """
import pathlib, signal, sys, time
def end(*_):
    if sys.argv[1] == "writes": (pathlib.Path(sys.argv[2]) / "last.ckpt").write_bytes(b"x")
    if sys.argv[1] != "hangs": sys.exit(143)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True: time.sleep(60)
"""


@pytest.fixture
def supervised(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """A run folder watched over by a process that answers SIGTERM as the parameter says."""
    folder = RunFolder(tmp_path / "run")
    folder.checkpoints.mkdir(parents=True)
    words = [sys.executable, "-c", SUPERVISOR, request.param, str(folder.checkpoints)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    started = int(psutil.Process(process.pid).create_time())
    make_run(folder.path, record(jobs=(f"{os.uname().nodename}.{process.pid}.{started}",)), beats=(alive_beat(0),))
    yield folder
    process.kill()
    process.wait()


@pytest.mark.parametrize("supervised", ["writes"], indirect=True)
def test_a_local_run_ends_and_its_checkpoint_is_told(supervised: RunFolder) -> None:
    said: list[str] = []
    done = control.cancel(supervised, wait_s=WAIT_S, say=said.append)
    assert done == "ended. A checkpoint was written: last.ckpt." and "SIGTERM" in said[0]
    assert [wish.action for wish in read_lines(supervised.requests, Request)] == ["cancel"]
    with pytest.raises(RefusedError, match="does not run"):
        control.cancel(supervised, wait_s=1, say=said.append)


@pytest.mark.parametrize("supervised", ["ignores"], indirect=True)
def test_that_no_checkpoint_was_written_is_told(supervised: RunFolder) -> None:
    assert "No checkpoint exists" in control.cancel(supervised, wait_s=WAIT_S, say=lambda _: None)


@pytest.mark.parametrize("supervised", ["hangs"], indirect=True)
def test_a_run_that_does_not_end_in_time_is_told(supervised: RunFolder) -> None:
    assert "still ending after 0.2 s" in control.cancel(supervised, wait_s=0.2, say=lambda _: None)


def test_a_run_elsewhere_and_one_without_supervisor_are_refused(tmp_path: Path) -> None:
    far = make_run(tmp_path / "far", record(jobs=("far.site.1.2",)))
    with pytest.raises(RefusedError, match=r"was started on far\.site; run navforge jobs cancel there"):
        control.cancel(far, wait_s=1, say=print)
    with pytest.raises(RefusedError, match="names no process"):
        control.cancel(make_run(tmp_path / "none"), wait_s=1, say=print)


def test_a_run_that_goes_on_or_is_finished_is_not_started_again(tmp_path: Path) -> None:
    running = make_run(tmp_path / "a", beats=(alive_beat(0),))
    with pytest.raises(RefusedError, match=r"is still active \(training\); navforge jobs cancel"):
        control.requeue(running, wait_s=1, say=print)
    done = make_run(tmp_path / "b", beats=(beat(0, phase="finished"),), finished=True)
    with pytest.raises(RefusedError, match="is finished"):
        control.requeue(done, wait_s=1, say=print)


@pytest.fixture
def stopped(tmp_path: Path) -> RunFolder:
    """A local run that is over and says how it was started."""
    folder = make_run(tmp_path / "run", record(jobs=(f"{os.uname().nodename}.{GONE_PID}.5",)), beats=(beat(0),))
    command = ["/x/navforge", "train", "agent=nobody", f"out={folder.path}"]
    (folder.path / "launch.provenance.json").write_text(json.dumps({"command": command, "directory": str(tmp_path)}))
    return folder


def python_that(tmp_path: Path, does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of Python, a shell script."""
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\n{does}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(control.sys, "executable", str(fake))


def test_a_local_run_starts_again_with_its_own_words(
    stopped: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = stopped.record_file.read_text().replace(f"{GONE_PID}.5", f"{GONE_PID}.6")
    (tmp_path / "noted.json").write_text(noted)
    python_that(tmp_path, f'echo "$PWD $*"; mv {tmp_path}/noted.json {stopped.record_file}', monkeypatch)
    done = control.requeue(stopped, wait_s=WAIT_S, say=print)
    assert "started in the background" in done and "begins at step 0" in done
    log = stopped.logs / "job-background.log"
    assert log.read_text() == f"{tmp_path} -m navforge train agent=nobody out={stopped.path}\n"
    assert [wish.action for wish in read_lines(stopped.requests, Request)] == ["requeue"]


def test_a_local_run_that_cannot_start_again_says_why(
    stopped: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped.logs.mkdir()
    (stopped.logs / "job-background.log").write_text("of an earlier time\n")
    python_that(tmp_path, "echo navforge: error: no data >&2; exit 2", monkeypatch)
    with pytest.raises(ValueError, match=r"could not be started again: navforge: error: no data$"):
        control.requeue(stopped, wait_s=WAIT_S, say=print)
    assert not stopped.requests.exists()


def test_a_run_that_does_not_say_how_it_was_started(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", record(jobs=(f"{os.uname().nodename}.{GONE_PID}.5",)), beats=(beat(0),))
    with pytest.raises(ValueError, match="run its navforge train command again"):
        control.requeue(folder, wait_s=1, say=print)


class FakeSlurm:
    """Answers and remembers; a job of ranks that get SIGTERM or SIGUSR1 does what `obeys` says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: RunFolder, state: str, *, obeys: bool = True) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.state = state
        self.obeys = obeys
        self.folder = folder
        monkeypatch.setattr(control, "ask", lambda jobs: Answer(jobs={jobs[0]: SlurmJob(state=self.state)}))
        monkeypatch.setattr(control.slurm, "cancel", self.cancel)
        monkeypatch.setattr(control.slurm, "requeue", lambda job: self.calls.append(("requeue", job)))
        monkeypatch.setattr(control.slurm, "submit", self.submit)
        monkeypatch.setattr(control, "POLL_S", 0.01)

    def cancel(self, job: str, signal: str | None = None) -> None:
        self.calls.append(("cancel", job, signal or ""))
        if signal is None:
            self.state = "CANCELLED"
        elif self.obeys:
            write_values(
                self.folder.checkpoints / "last.ckpt",
                {"state_dict": {}, KEY: {}, "training": {"position": {"epoch": 2, "step": 3, "total": 123}}},
            )
            self.state = "FAILED" if signal == "TERM" else "PENDING"

    def submit(self, script: Path) -> str:
        self.calls.append(("submit", str(script)))
        return "41"


SLURM = record(launch="slurm", jobs=("40",))


def slurm_folder(path: Path, phase: str = "training") -> RunFolder:
    folder = make_run(path, SLURM, beats=(alive_beat(0, job="40", phase=phase),))
    folder.script.write_text("#!/bin/bash\n")
    return folder


def test_ranks_of_a_job_write_a_checkpoint_before_it_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = slurm_folder(tmp_path / "run")
    fake = FakeSlurm(monkeypatch, folder, "RUNNING")
    done = control.cancel(folder, wait_s=5, say=lambda _: None)
    assert done == "job 40 ended. A checkpoint was written: last.ckpt at step 123."
    assert fake.calls == [("cancel", "40", "TERM")]


def test_a_job_whose_ranks_do_not_obey_is_cancelled_outright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = slurm_folder(tmp_path / "run")
    fake = FakeSlurm(monkeypatch, folder, "RUNNING", obeys=False)
    said: list[str] = []
    assert "job 40 is cancelled. No checkpoint exists" in control.cancel(folder, wait_s=0.1, say=said.append)
    assert fake.calls == [("cancel", "40", "TERM"), ("cancel", "40", "")] and "outright" in said[-1]


@pytest.mark.parametrize(("state", "phase"), [("PENDING", "training"), ("RUNNING", "starting")])
def test_a_job_that_does_not_train_is_cancelled_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, phase: str
) -> None:
    folder = slurm_folder(tmp_path / "run", phase)
    fake = FakeSlurm(monkeypatch, folder, state)
    control.cancel(folder, wait_s=1, say=lambda _: None)
    assert fake.calls == [("cancel", "40", "")]


@pytest.mark.parametrize("state", ["COMPLETED", "TIMEOUT", "CANCELLED"])
def test_a_job_that_is_over_cannot_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    folder = slurm_folder(tmp_path / "run")
    FakeSlurm(monkeypatch, folder, state)
    with pytest.raises(RefusedError, match="is not in the queue"):
        control.cancel(folder, wait_s=1, say=print)


def test_a_running_job_goes_back_into_the_queue_with_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = slurm_folder(tmp_path / "run")
    fake = FakeSlurm(monkeypatch, folder, "RUNNING")
    done = control.requeue(folder, wait_s=5, say=lambda _: None)
    assert done == "job 40 is back in the queue. A checkpoint was written: last.ckpt at step 123."
    assert fake.calls == [("cancel", "40", "USR1")]


def test_a_job_whose_ranks_do_not_obey_is_requeued_outright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = slurm_folder(tmp_path / "run")
    fake = FakeSlurm(monkeypatch, folder, "RUNNING", obeys=False)
    control.requeue(folder, wait_s=0.1, say=lambda _: None)
    assert fake.calls == [("cancel", "40", "USR1"), ("requeue", "40")]


def test_a_job_that_is_over_is_submitted_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = slurm_folder(tmp_path / "run")
    fake = FakeSlurm(monkeypatch, folder, "TIMEOUT")
    assert control.requeue(folder, wait_s=1, say=print).startswith("resubmitted as job 41.")
    assert fake.calls == [("submit", str(folder.script))] and folder.read_record().jobs == ("40", "41")


def test_a_job_that_waits_is_not_requeued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = slurm_folder(tmp_path / "run")
    FakeSlurm(monkeypatch, folder, "PENDING")
    with pytest.raises(RefusedError, match="waits in the queue already"):
        control.requeue(folder, wait_s=1, say=print)


def test_without_slurm_nothing_is_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = slurm_folder(tmp_path / "run")
    monkeypatch.setenv("PATH", str(tmp_path))
    for act in (control.cancel, control.requeue):
        with pytest.raises(RefusedError, match="cannot be looked up"):
            act(folder, wait_s=1, say=print)


def test_old_checkpoints_are_told_with_their_age(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    folder.checkpoints.mkdir()
    (folder.checkpoints / "last.ckpt").write_bytes(b"x")
    os.utime(folder.checkpoints / "last.ckpt", (1000, 1000))
    words = control.checkpoint_words(folder, 1120)
    assert words == "No checkpoint was written now; the newest is last.ckpt, 2.0 min old."


def test_silence_of_the_queue_is_no_end_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([Answer(note="Slurm does not answer", silent=True), Answer(note="no accounting"), Answer()])
    monkeypatch.setattr(control, "ask", lambda jobs: next(answers))
    assert [control._ended("40") for _ in range(3)] == [False, True, True]

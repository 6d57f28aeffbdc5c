"""Nothing is lost on a real Slurm: a run interrupted in every way ends bit-equal to the uninterrupted one.

One run is interrupted again and again, each time at a random step and in another way, and goes on by itself or by the
same command; the losses of all its steps and its final weights are those of a run nobody touched.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from navforge.cli.main import main
from navforge.models.checkpoints import read_values
from navforge.runs import status
from navforge.runs.folder import RunFolder
from navforge.runs.status import RankStatus, read_attempts
from tests.e2e.world import ROOT, World
from tests.slurm_cluster.cluster import WAIT_S, Cluster, wait_for

ON_SLURM = {"launch": "slurm", "cluster": "l40s_4x4"}


@dataclass
class Watched:
    """A run on Slurm that is interrupted."""

    folder: RunFolder
    cluster: Cluster

    @property
    def job(self) -> str:
        return self.folder.read_record().jobs[-1]

    def steps(self) -> int:
        """Steps written by the attempt that runs, 0 before it has begun."""
        if not self.folder.steps.is_file():
            return 0
        last = self.folder.steps.read_text().splitlines()[-1].partition(",")[0]
        return int(last) if last.isdigit() else 0

    def wait_for_step(self, step: int, attempt: int) -> None:
        """Until an attempt has begun and made a step."""
        limit = time.monotonic() + WAIT_S
        while len(read_attempts(self.folder.attempts)) <= attempt:  # before it Slurm is asked, which takes a while
            state = self.cluster.job_state(self.job)
            assert state in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING"), self.said(state)
            assert time.monotonic() < limit, self.said(f"attempt {attempt} does not begin")
            time.sleep(0.1)
        while self.steps() < step:
            assert time.monotonic() < limit, self.said(f"step {step} of attempt {attempt} does not come")
            time.sleep(0.005)

    def pids(self) -> list[int]:
        """Of the ranks that run."""
        beats = [status.read(self.folder.status_file(rank), RankStatus) for rank in range(self.world_size)]
        return [beat.pid for beat in beats if beat is not None]

    @contextmanager
    def held(self, rank: int) -> Iterator[int]:
        """Stop one rank, and thereby all: what happens meanwhile happens at this step, however fast the machine."""
        pid = self.pids()[rank]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def wait_until_requeued(self) -> None:
        """Until the job is back in the queue."""
        wait_for(lambda: self.cluster.job_state(self.job) == "PENDING", "the job to go back into the queue")

    @property
    def world_size(self) -> int:
        return self.folder.read_record().world_size

    def finish(self) -> None:
        """Until the job has completed."""
        state = self.cluster.wait(self.job, "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED")
        assert state == "COMPLETED" and self.folder.finished.is_file(), self.said(state)

    def said(self, state: str) -> str:
        """For a failure: how it stands and what the logs say."""
        logs = [self.folder.job_log(self.job), self.folder.rank_log(0)]
        return "\n".join([state, *(log.read_text()[-3000:] for log in logs if log.is_file())])


def start(words: list[str], out: Path, cluster: Cluster) -> Watched:
    assert main(words) == 0
    return Watched(RunFolder(out), cluster)


def uninterrupted(folder: RunFolder, path: Path) -> RunFolder:
    """The same run by as many ranks that nobody touches, forked from one process (`forked`)."""
    reference = RunFolder(path)
    path.mkdir()
    reference.write_record(folder.read_record())
    reference.config.write_text(folder.config.read_text().replace(str(folder.path), str(path)))
    command = [sys.executable, "-m", "tests.e2e.forked", str(path)]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return reference


def assert_same(folder: RunFolder, reference: RunFolder) -> None:
    """Losses of every step, curves by epoch but for their durations, and the final weights, to the bit."""
    assert folder.steps.read_text() == reference.steps.read_text()
    curves = [without_seconds(run.path / "epochs.csv") for run in (folder, reference)]
    assert curves[0] == curves[1]
    for name in ("last.ckpt", "best.ckpt"):
        ours, theirs = (read_values(run.checkpoints / name)["state_dict"] for run in (folder, reference))
        assert list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


def got(pid: int, number: signal.Signals) -> bool:
    """Whether a stopped process has got a signal: it waits for it, or Slurm let the process go on with it."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    masks = re.findall(r"^S(?:ig|hd)Pnd:\s+(\w+)$", text, re.MULTILINE)
    return "State:\tT" not in text or any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def without_seconds(path: Path) -> list[list[str]]:
    rows = [row.split(",") for row in path.read_text().splitlines()]
    index = rows[0].index("seconds")
    return [row[:index] + row[index + 1 :] for row in rows]


@pytest.fixture
def at_random(request: pytest.FixtureRequest) -> Iterator[random.Random]:
    """Steps at which a run is interrupted; the seed is printed with a failure."""
    seed = random.SystemRandom().randrange(1 << 30)
    print(f"interruptions by seed {seed}")
    return random.Random(seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_interruption_2x2(slurm: Cluster, world: World, tmp_path: Path, at_random: random.Random) -> None:
    epochs, per_epoch = 60, 4
    keys = {**ON_SLURM, "nodes": 2, "devices": 2, "train.epochs": epochs}
    out = tmp_path / "interrupted"
    command = world.words(out, **keys)
    run = start(command, out, slurm)
    ways = ("kill one", "kill all", "time limit", "scancel --signal", "scontrol requeue", "node down")
    length = epochs * per_epoch // (len(ways) + 1)
    steps = [number * length + at_random.randrange(2, length // 2) for number in range(len(ways))]
    print(f"interrupted at steps {dict(zip(ways, steps, strict=True))}")

    run.wait_for_step(steps[0], 0)
    os.kill(run.pids()[3], signal.SIGKILL)
    slurm.wait(run.job, "FAILED")

    assert main(command) == 0  # the same command goes on
    run.wait_for_step(steps[1], 1)
    for pid in run.pids():
        os.kill(pid, signal.SIGKILL)
    slurm.wait(run.job, "FAILED")

    job = slurm.call("sbatch", "--parsable", str(run.folder.script)).strip()  # by hand
    wait_for(lambda: run.job == job, "the job to note itself")
    run.wait_for_step(steps[2], 2)
    with run.held(1) as pid:  # within the 300 s of the profile; Slurm looks every half a minute
        slurm.call("scontrol", "update", f"jobid={job}", "timelimit=5")
        wait_for(lambda: got(pid, signal.SIGUSR1), "the signal before the time limit")
    run.wait_until_requeued()
    slurm.call("scontrol", "update", f"jobid={job}", "timelimit=60")

    run.wait_for_step(steps[3], 3)
    with run.held(2) as pid:
        slurm.call("scancel", "--signal=USR1", job)
        wait_for(lambda: got(pid, signal.SIGUSR1), "the signal")
    run.wait_until_requeued()

    run.wait_for_step(steps[4], 4)
    with run.held(0):
        slurm.call("scontrol", "requeue", job)
    run.wait_until_requeued()

    run.wait_for_step(steps[5], 5)
    with run.held(3):
        slurm.call("scontrol", "update", "nodename=gl002", "state=down", "reason=test")
    run.wait_until_requeued()

    wait_for(lambda: len(read_attempts(run.folder.attempts)) == 7, "the last attempt")
    run.finish()
    assert run.steps() == epochs * per_epoch
    assert_same(run.folder, uninterrupted(run.folder, tmp_path / "reference"))
    resumed = [entry.resumed_step for entry in read_attempts(run.folder.attempts)]
    assert resumed == sorted(resumed) and resumed[3] >= steps[2] and resumed[4] >= steps[3], (resumed, steps)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_rank_4x4(slurm: Cluster, world: World, tmp_path: Path, at_random: random.Random) -> None:
    out = tmp_path / "interrupted"
    keys = {"nodes": 4, "devices": 4, "train.epochs": 24, "train.rendezvous_timeout_s": 600}
    command = world.words(out, **ON_SLURM, **keys)
    run = start(command, out, slurm)
    run.wait_for_step(at_random.randrange(2, 8), 0)
    os.kill(run.pids()[at_random.randrange(16)], signal.SIGKILL)  # sixteen steps are left
    slurm.wait(run.job, "FAILED")
    assert main(command) == 0
    run.finish()
    assert [entry.world_size for entry in read_attempts(run.folder.attempts)] == [16, 16]

    assert_same(run.folder, uninterrupted(run.folder, tmp_path / "reference"))

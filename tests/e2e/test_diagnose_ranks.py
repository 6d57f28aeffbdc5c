"""Real ranks that fail in every way a rank can tell of: the diagnosis names the failure, the scenes and the rank."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from navforge.jobs.diagnose import diagnose
from navforge.jobs.diagnosis import Diagnosis
from navforge.jobs.evidence import gather
from navforge.runs import status
from navforge.runs.folder import RunFolder, RunRecord
from navforge.runs.status import Failure
from navforge.training.loop.stepper import Stepper
from navforge.training.run_config import RunConfig
from tests.training.conftest import broken_images, run_files  # noqa: F401 (a fixture)
from tests.training.conftest import make_run as training_run  # noqa: F401 (a fixture)
from tests.training.processes import run, start, wait
from tests.training.ranks.test_messages import at_step, make

pytestmark = pytest.mark.forks

Make = Callable[..., RunConfig]


def recorded(config: RunConfig) -> RunConfig:
    """With the record a launcher writes."""
    RunFolder(config.out).write_record(
        RunRecord(agent=config.agent, launch="local", nodes=1, devices=config.devices, created="2026-01-01")
    )
    return config


def diagnosis(config: RunConfig) -> Diagnosis:
    return diagnose(gather(RunFolder(config.out)))


def shown(found: Diagnosis) -> str:
    return "\n".join(map(str, found.evidence))


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_a_loss_that_is_not_finite(training_run: Make) -> None:  # noqa: F811
    def fault(rank: int) -> None:
        whole = Stepper.round

        def spoilt(self: Stepper, batch: Any, *, number: int, step: int) -> Any:
            if rank == 1 and step == 3:
                batch["human_poses"] = batch["human_poses"] * torch.inf
            return whole(self, batch, number=number, step=step)

        Stepper.round = spoilt  # type: ignore[method-assign]

    config = recorded(make(training_run, "run"))
    run(config, world=2, fault=fault)
    found = diagnosis(config)
    assert found.cause == "non_finite" and "at step 3" in found.summary and "rank 1" in found.summary
    failure = status.read(RunFolder(config.out).failure_file(1), Failure)
    assert failure is not None and len(failure.tokens) == 4 and all(found.summary.count(t) == 1 for t in failure.tokens)
    assert "failures/rank-" in shown(found) and "logs/rank-" in shown(found)
    assert "train.learning_rate=0.0015" in found.remedy[0]


def test_a_scene_that_cannot_be_read(training_run: Make) -> None:  # noqa: F811
    config = recorded(make(training_run, "run", keep_inputs=False))
    run(config, world=2, fault=lambda rank: broken_images({"c03": "cut off"}))
    found = diagnosis(config)
    assert found.cause == "corrupt_sample" and "scene c03" in found.summary and "cut off" in found.summary
    assert "train.tolerate_corrupt=1" in found.remedy[1]


def test_a_rank_that_never_comes(training_run: Make) -> None:  # noqa: F811
    config = recorded(make(training_run, "run", rendezvous_timeout_s=2))
    wait(start(config, world=2, ranks=[0]))
    found = diagnosis(config)
    assert found.cause == "rendezvous" and "did not come: 1" in found.summary
    assert "Nothing was ever heard of rank 1" in found.summary


@pytest.mark.parametrize(
    ("error", "cause", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), "gpu_memory", "2.00 GiB"),
        (MemoryError(), "host_memory", "Rank 1 ran out of host memory"),
        (KeyError("poses"), "rank_error", "Rank 1 ended first, with a Python error at step 4: KeyError: 'poses'"),
    ],
    ids=["gpu_memory", "host_memory", "error"],
)
def test_errors_of_one_rank(training_run: Make, error: BaseException, cause: str, words: str) -> None:  # noqa: F811
    config = recorded(make(training_run, "run"))
    run(config, world=2, fault=at_step(4, (1,), raising(error)))
    found = diagnosis(config)
    assert found.cause == cause and words in found.summary
    assert "failures/rank-1.json:" in shown(found)
    if cause == "gpu_memory":
        assert found.remedy[0].endswith("train.batch_size=2 train.accumulate=2")


def test_a_file_that_may_not_grow_further(training_run: Make) -> None:  # noqa: F811
    config = recorded(make(training_run, "run", checkpoint_minutes=0.0))
    run(config, world=2, fault=lambda rank: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    found = diagnosis(config)
    assert found.cause == "disk_full" and "df -h" in found.remedy[0] and "File too large" in shown(found)


def test_a_full_disk(training_run: Make, tmp_path: Path) -> None:  # noqa: F811
    config = make(training_run, "run", checkpoint_minutes=0.0)
    config.out.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=192k", "none", str(config.out)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("a full disk is a small file system of its own, which only root may mount")
    try:
        run(recorded(config), world=2)
        found = diagnosis(config)
    finally:
        subprocess.run(["umount", str(config.out)], check=True)
    assert found.cause == "disk_full" and "df -h" in found.remedy[0]


def test_more_ranks_than_the_run_is_for(training_run: Make) -> None:  # noqa: F811
    config = recorded(replace(make(training_run, "run"), devices=4))
    run(config, world=2)
    found = diagnosis(config)
    assert found.cause == "user_error" and "1 nodes x 4 ranks, but 1 x 2 were started" in found.summary


def test_ranks_told_to_stop_and_a_run_that_finished(training_run: Make) -> None:  # noqa: F811
    config = recorded(make(training_run, "run"))
    run(config, world=2, fault=at_step(6, (1,), lambda: os.kill(os.getpid(), signal.SIGTERM)))
    found = diagnosis(config)
    assert found.cause == "stopped" and "stopped at step 7 of 10 after a checkpoint" in found.summary
    run(config, world=2)
    assert diagnosis(config).cause == "finished"


def test_a_rank_that_vanishes_is_named_by_the_silence_it_left(training_run: Make) -> None:  # noqa: F811
    config = recorded(make(training_run, "run"))
    run(config, world=2, fault=at_step(4, (1,), lambda: os.kill(os.getpid(), signal.SIGKILL)))
    found = diagnosis(config)
    assert found.cause == "hang" and "Rank 1 stopped answering" in found.summary
    assert "the process is gone" in found.summary
    assert "closed by peer" in shown(found) or "failures/rank-0.json" in shown(found)

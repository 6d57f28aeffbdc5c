"""Memory and time as lines through samples, and what `auto` makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from navforge.core.sizes import GIB
from navforge.models.encoders.configs import EgoStatusConfig
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.planner_config import PlannerConfig
from navforge.preflight.choose import choose
from navforge.preflight.context import PreflightContext
from navforge.preflight.finding import OK, REFUSED, WARNING, Finding
from navforge.preflight.machine import Machine
from navforge.preflight.memory import LoaderCost
from navforge.preflight.stepping import count_bytes
from navforge.preflight.steps import StepCost, StepSample, check_gpu_memory, fitting_batch, largest_batch, line
from navforge.training.config import AugmentConfig, TrainConfig
from navforge.training.loop.module import PlannerModule
from navforge.training.run_config import RunConfig

SAMPLES = tuple(StepSample(batch_size=b, peak_bytes=(4 + b) * GIB, seconds=0.1 + 0.05 * b) for b in (2, 4, 8))
ON_GPU = StepCost(
    device="NVIDIA L40S", on_gpu=True, samples=SAMPLES, weight_bytes=4 * 10**8, state_bytes=4 * 10**8, trainable=10**8
)
COUNTED = replace(ON_GPU, device="CPU", on_gpu=False, bound=(2.0 * GIB, 0.5 * GIB))
LOADER = LoaderCost(rank_bytes=2 * GIB, worker_bytes=GIB, example_bytes=1 << 20, examples_per_s=40.0)
NODE = Machine(
    name="l40s",
    here=False,
    cpus=32,
    memory_bytes=240 * GIB,
    memory_source="profile",
    gpu_bytes=44 * GIB,
    gpu_name="l40s",
)


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_lines() -> None:
    assert line([(2, 5.0), (4, 9.0)]) == pytest.approx((1.0, 2.0))
    assert line([(4, 8.0)]) == (0.0, 2.0)
    assert line([(1, 5.0), (2, 4.0)]) == (5.0, 0.0), "memory does not fall with the batch"
    fixed, each = line([(1, 1.0), (2, 5.0), (3, 6.0)])
    assert all(y <= fixed + each * x + 1e-9 for x, y in [(1, 1.0), (2, 5.0), (3, 6.0)])


@pytest.mark.parametrize(
    ("room", "most", "size"), [(5.0, 99, 1), (4.9, 99, 0), (30, 99, 24), (31.9, 99, 24), (99, 9, 8)]
)
def test_largest_batch(room: float, most: int, size: int) -> None:
    assert largest_batch(4.0, 1.0, room, most) == size


def test_gpu_memory_measured() -> None:
    assert only(check_gpu_memory(ON_GPU, 32, 44 * GIB, "l40s")).level == OK
    found = only(check_gpu_memory(ON_GPU, 40, 44 * GIB, "l40s"))
    assert found.level == REFUSED and "44.0 GiB (measured on NVIDIA L40S)" in found.message
    assert found.remedy.startswith("train.batch_size=32 fits")
    assert only(check_gpu_memory(ON_GPU, 32, None, None)).level == WARNING
    failed = replace(ON_GPU, failed_at=16)
    assert only(check_gpu_memory(failed, 16, 44 * GIB, "l40s")).level == REFUSED
    assert fitting_batch(failed, 44 * GIB, 256) == 8


@pytest.mark.parametrize(("share", "level"), [(0.919, OK), (0.921, REFUSED)])
def test_a_step_may_take_92_percent_of_the_gpu(share: float, level: str) -> None:
    needed = ON_GPU.bytes_at(8)
    assert only(check_gpu_memory(ON_GPU, 8, round(needed / share), "l40s")).level == level


@pytest.mark.parametrize(
    ("batch", "level", "says"),
    [(16, OK, "not measured on l40s"), (64, WARNING, "may not fit"), (128, REFUSED, "at least 66.0 GiB")],
)
def test_gpu_memory_counted(batch: int, level: str, says: str) -> None:
    found = only(check_gpu_memory(COUNTED, batch, 44 * GIB, "l40s"))
    assert found.level == level and says in found.message


def context(make_config: Callable[..., RunConfig], step: StepCost | None, **changes: Any) -> PreflightContext:
    config = make_config(devices=4, accelerator="auto", **{"batch_size": None, "loader_workers": None, **changes})
    return PreflightContext(config=config, machine=NODE, loader=LOADER, step=step, scenes=100_000)


def test_auto_on_a_measured_gpu(make_config: Callable[..., RunConfig]) -> None:
    config, findings = choose(context(make_config, ON_GPU))
    # 92 % of 44 GiB holds 4 + 36 GiB, the next multiple of 8 below is 32; a step of 32 takes 1.7 s, so 40 scenes/s per
    # worker need one of them, a quarter faster.
    assert (config.train.batch_size, config.train.loader_workers) == (32, 1)
    assert [finding.level for finding in findings] == [OK, OK]


def test_auto_away_from_the_gpu_is_careful(make_config: Callable[..., RunConfig]) -> None:
    config, findings = choose(context(make_config, COUNTED))
    assert config.train.batch_size == 56, "0.7 x 44 GiB holds 2 + 57 x 0.5"
    assert config.train.loader_workers == 7, "8 CPUs per rank, one for the rank; the step time is not known"
    assert "not measured on the GPU" in findings[0].message and "not known" in findings[1].message


def test_auto_gives_up_where_nothing_is_known(make_config: Callable[..., RunConfig]) -> None:
    config, findings = choose(context(make_config, None))
    assert config.train.batch_size is None and {finding.level for finding in findings} >= {REFUSED}
    assert all(finding.remedy for finding in findings if finding.level == REFUSED)


def test_numbers_that_were_given_stay(make_config: Callable[..., RunConfig]) -> None:
    config, findings = choose(context(make_config, ON_GPU, batch_size=5, loader_workers=3))
    assert (config.train.batch_size, config.train.loader_workers, findings) == (5, 3, [])


def test_workers_stay_within_memory(make_config: Callable[..., RunConfig]) -> None:
    given = context(make_config, COUNTED, batch_size=8)
    tight = replace(given, machine=replace(NODE, memory_bytes=32 * GIB))
    config, findings = choose(tight)
    assert config.train.loader_workers is not None and 0 < config.train.loader_workers < 7
    assert "host memory" in findings[0].message


def test_no_worker_where_loading_takes_no_time(make_config: Callable[..., RunConfig]) -> None:
    quick = replace(context(make_config, ON_GPU, batch_size=8), loader=replace(LOADER, examples_per_s=10_000.0))
    config, _ = choose(quick)
    assert config.train.loader_workers == 0


def test_kept_tensors_are_counted_without_computing() -> None:
    """A linear planner of which every kept tensor is known: its input and the hidden activations, float32."""
    hidden = 512
    planner = PlannerConfig(
        name="blind", encoder=EgoStatusConfig(), head=MlpHeadConfig(hidden=hidden, layers=2)
    ).build()
    batch: dict[str, Any] = {
        "token": ["a"] * 16,
        "inputs": {"status": torch.zeros(16, 8)},
        "human_poses": torch.zeros(16, 8, 3),
        "teacher": {},
    }
    fixed, each = count_bytes(PlannerModule(planner, AugmentConfig()), batch, TrainConfig())
    parameters = sum(p.numel() for p in planner.parameters())
    assert 16 * parameters <= fixed < 16 * parameters + 4096, "weights, gradients and two moments"
    assert 4 * 2 * hidden <= each <= 4 * (2 * hidden + 8 + 100)
    _, halved = count_bytes(PlannerModule(planner, AugmentConfig()), batch, TrainConfig(precision="bf16-mixed"))
    assert halved < 0.75 * each

"""Predictions with their ranges, from repeats on quiet and busy machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from navforge.models.checkpoints import write_values
from navforge.preflight import stepping
from navforge.preflight.context import PreflightContext
from navforge.preflight.estimate import Estimate, Repeats, between
from navforge.preflight.finding import OK, WARNING
from navforge.preflight.machine import this_machine
from navforge.preflight.memory import LoaderCost
from navforge.preflight.probe import interpret
from navforge.preflight.steps import StepCost, StepSample
from navforge.training.config import AugmentConfig
from navforge.training.loop.module import PlannerModule
from navforge.training.recipes.catalog import recipe
from navforge.training.run_config import RunConfig


def test_one_slow_repeat_does_not_move_the_prediction() -> None:
    repeats = Repeats((1.0, 1.02, 1.01, 1.03, 1.4), (0.99, 1.01, 1.0, 1.02, 1.0))
    assert not repeats.busy
    assert repeats.estimate.value == pytest.approx(1.0, rel=0.1)
    assert repeats.estimate.low < 0.9 and repeats.estimate.high >= 1.15


def test_beside_other_load_the_range_holds_an_idle_and_a_busier_machine() -> None:
    repeats = Repeats((1.5, 2.0, 1.0, 3.0, 2.5), (1.0, 1.0, 1.0, 1.0, 1.0))
    assert repeats.busy and repeats.share == pytest.approx(0.5)
    assert repeats.estimate.value == pytest.approx(2.0), "what a long run takes beside the same load"
    assert repeats.estimate.low < 1.0 and repeats.estimate.high > 3.0


@pytest.mark.parametrize(("share", "busy"), [(0.84, True), (0.86, False)])
def test_a_machine_is_busy_below_85_per_cent_of_a_cpu(share: float, busy: bool) -> None:
    assert Repeats((1.0,), (share,)).busy is busy


@pytest.mark.parametrize(("slowest", "busy"), [(1.49, False), (1.51, True)])
def test_without_cpu_time_the_spread_tells(slowest: float, busy: bool) -> None:
    assert Repeats((1.0, 1.0, slowest)).busy is busy


NOISY = [(2, Estimate(30.0, 0.1, 50.0)), (8, Estimate(0.2, 0.15, 0.3)), (32, Estimate(0.8, 0.7, 1.0))]


def test_a_measured_size_is_what_was_measured_whatever_smaller_sizes_were() -> None:
    assert between(NOISY, 32) == NOISY[-1][1]
    assert between(NOISY[1:], 20).value == pytest.approx(0.5)


def test_beyond_the_last_size_the_range_is_from_no_growth_to_proportion() -> None:
    beyond = between(NOISY, 320)
    assert (beyond.low, beyond.high) == (0.7, 10.0)
    assert beyond.value == pytest.approx(0.8 + 0.6 / 24 * 288)
    assert between([(32, NOISY[-1][1])], 320).value == pytest.approx(8.0)


SAMPLE = StepSample(batch_size=10, peak_bytes=1 << 30, seconds=2.0, low_s=1.0, high_s=3.0, busy=True, share=0.5)
COST = StepCost(device="CPU", on_gpu=False, samples=(SAMPLE,), weight_bytes=4, state_bytes=4, trainable=1)


def test_a_busy_machine_is_named() -> None:
    (busy,) = interpret([("step", COST), ("sample", SAMPLE), ("done", None)], 0, late=False, limit_s=50).findings
    assert busy.level == WARNING and "2 s (1 s to 3 s)" in busy.message
    assert "this machine is busy (a thread gets 50% of a CPU, load" in busy.message
    quiet = replace(SAMPLE, busy=False)
    (found,) = interpret([("step", COST), ("sample", quiet), ("done", None)], 0, late=False, limit_s=50).findings
    assert found.level == OK


def test_a_batch_larger_than_the_split_takes_what_the_split_takes(make_config: Callable[..., RunConfig]) -> None:
    loader = LoaderCost(rank_bytes=0, worker_bytes=0, example_bytes=1, examples_per_s=1e9)
    config = make_config(batch_size=500, epochs=4)
    context = PreflightContext(config=config, machine=this_machine(), loader=loader, step=COST, scenes=10, start_s=6.0)
    assert context.batch == 10 and context.epoch is not None and context.duration is not None
    assert context.epoch.value == pytest.approx(2.0)
    assert context.duration.value == pytest.approx(4 * 2.0 + 6.0)
    assert (context.duration.low, context.duration.high) == pytest.approx((4 * 1.0 + 3.0, 4 * 3.0 + 12.0))


def test_an_epoch_writes_a_checkpoint_before_its_validation_and_one_at_its_end(
    make_config: Callable[..., RunConfig],
) -> None:
    loader = LoaderCost(rank_bytes=0, worker_bytes=0, example_bytes=1, examples_per_s=1e9)
    context = PreflightContext(
        config=make_config(batch_size=10), machine=this_machine(), loader=loader, step=COST, scenes=10, checkpoint_s=0.5
    )
    alone, validated = context.epoch, replace(context, val_scenes=10).epoch
    assert alone is not None and validated is not None
    assert (alone.low, alone.value, alone.high) == pytest.approx((1.0 + 0.25, 2.0 + 0.5, 3.0 + 1.0))
    assert validated.value == pytest.approx(2.0 + 2.0 / 3 + 2 * 0.5)
    measured = interpret([("checkpoint", 0.5), ("step", COST), ("done", None)], 0, late=False, limit_s=50)
    assert measured.checkpoint_s == 0.5


def test_the_checkpoint_that_is_written_to_measure_is_as_large_as_a_run_s(tmp_path: Path) -> None:
    planner = recipe("ego_mlp").planner.build()
    learner = PlannerModule(planner, AugmentConfig())
    written: list[int] = []

    def measure_size(path: Path, values: dict[str, Any]) -> None:
        write_values(path, values)
        written.append(path.stat().st_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "write_values", measure_size)
        assert stepping.measure_checkpoint(learner, tmp_path / "not" / "there") > 0
    learned = sum(p.nbytes for p in planner.parameters())
    assert all(3 * learned < size < 3 * learned + 20_000 for size in written) and written
    assert list(tmp_path.iterdir()) == []


def test_a_rank_whose_step_was_not_measured_holds_its_weights(make_config: Callable[..., RunConfig]) -> None:
    loader = LoaderCost(rank_bytes=1000, worker_bytes=0, example_bytes=1, examples_per_s=1e9)
    cost = replace(COST, samples=(), weight_bytes=2400, trainable=50)
    context = PreflightContext(
        config=make_config(batch_size=2), machine=this_machine(), loader=loader, step=cost, scenes=9
    )
    assert context.host_plan(batch_size=2, workers=0).step_bytes == 2400 + 3 * 4 * 50

"""The order of scenes: by seed, epoch, step and ranks alone, every scene at most once an epoch."""

from __future__ import annotations

import dataclasses
from itertools import chain

import pytest
import torch

from navforge.core.errors import ConfigError
from navforge.training.config import LoopConfig
from navforge.training.loop.epochs import EpochPlan, TrainingLength, training_length
from navforge.training.loop.order import EpochBatches, SharedBatches, shuffled


def batches(plan: EpochPlan, rank: int, epoch: int = 0, step: int = 0, seed: int = 3) -> list[list[int]]:
    order = EpochBatches(plan, seed=seed, rank=rank)
    order.start_at(epoch, step)
    found = list(order)
    assert len(found) == len(order)
    return found


def test_one_rank_sees_the_shuffle_of_seed_and_epoch_in_slices() -> None:
    generator = torch.Generator().manual_seed(3 * 1_000_003 + 5)
    expected = torch.randperm(23, generator=generator).tolist()
    torch.manual_seed(99)
    found = batches(EpochPlan(23, 4), rank=0, epoch=5)
    assert found == [expected[start : start + 4] for start in (0, 4, 8, 12, 16)]
    assert found != batches(EpochPlan(23, 4), 0, epoch=6) and found != batches(EpochPlan(23, 4), 0, epoch=5, seed=4)


@pytest.mark.parametrize(("world", "accumulate"), [(1, 1), (2, 1), (4, 1), (3, 2), (4, 4)])
def test_ranks_share_what_one_rank_with_the_whole_batch_would_see(world: int, accumulate: int) -> None:
    plan = EpochPlan(101, 5, world, accumulate)
    whole = batches(EpochPlan(101, 5 * world * accumulate), rank=0)
    ranks = [batches(plan, rank) for rank in range(world)]
    for step in range(plan.steps):
        rounds = range(step * accumulate, (step + 1) * accumulate)
        together = list(chain.from_iterable(ranks[rank][number] for number in rounds for rank in range(world)))
        assert together == whole[step]
    seen = list(chain.from_iterable(chain.from_iterable(ranks)))
    assert len(seen) == len(set(seen)) == plan.steps * plan.scenes_per_step


@pytest.mark.parametrize("step", [0, 1, 3])
def test_a_later_start_gives_the_rest(step: int) -> None:
    plan = EpochPlan(50, 3, 2, 2)
    for rank in (0, 1):
        assert batches(plan, rank, epoch=1, step=step) == batches(plan, rank, epoch=1)[2 * step :]


@pytest.mark.parametrize("updates", [1, 3, 4, 9])
def test_epochs_of_as_many_updates_go_through_the_same_passes(updates: int) -> None:
    """Four steps make a pass; wherever epochs end, the steps are those of pass after pass."""
    stream = [batch for number in range(9) for batch in batches(EpochPlan(50, 3, 2, 2), 1, epoch=number)]
    plan = EpochPlan(50, 3, 2, 2, updates)
    assert (plan.steps, plan.pass_steps) == (updates, 4)
    found = [batch for epoch in range(4) for batch in batches(plan, 1, epoch=epoch)]
    assert found == stream[: 4 * updates * 2]
    assert batches(plan, 1, epoch=3, step=updates - 1) == found[-2:]


def test_the_length_of_a_run() -> None:
    by_passes = LoopConfig(epochs=4, batch_size=3, accumulate=2)
    by_updates = dataclasses.replace(by_passes, updates=12)
    assert training_length(50, by_passes, 2) == TrainingLength(epochs=4, updates=16, samples=16 * 12)
    assert training_length(50, by_updates, 2) == TrainingLength(epochs=4, updates=12, samples=12 * 12)
    assert training_length(500, by_updates, 2).updates == 12
    with pytest.raises(ConfigError, match=r"train\.updates: 13 cannot be .* over train\.epochs=4; give 12 or 16"):
        dataclasses.replace(by_passes, updates=13)
    with pytest.raises(ConfigError, match=r"give 4$"):
        dataclasses.replace(by_passes, updates=3)


def test_a_split_smaller_than_a_step_makes_one_smaller_step() -> None:
    assert batches(EpochPlan(7, 50), 0) == [shuffled(7, 3, 0)]
    plan = EpochPlan(7, 50, 2)
    assert plan.steps == 1 and [len(batches(plan, rank)[0]) for rank in (0, 1)] == [3, 3]
    with pytest.raises(ConfigError, match=r"7 scenes cannot be shared by 4 ranks with train\.accumulate=2"):
        EpochPlan(7, 1, 4, 2)


@pytest.mark.parametrize(("size", "world"), [(3, 1), (10, 1), (10, 2), (11, 3), (2, 4), (9, 4)])
def test_every_scene_is_validated_once_in_as_many_batches_on_every_rank(size: int, world: int) -> None:
    orders = [SharedBatches(size, batch_size=3, world_size=world, rank=rank) for rank in range(world)]
    counted = [scene for order in orders for batch in list(order)[: order.own] for scene in batch]
    assert sorted(counted) == list(range(size))
    assert len({len(order) for order in orders}) == 1 and all(len(list(order)) == len(order) for order in orders)

"""Plans of an agent for every scene of a split."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from navforge.agents.contract import Agent
from navforge.core.parallel import progress
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.evaluation.failures import Failure, ScenesFailedError
from navforge.evaluation.trajectories import Trajectories

CHUNK = 128
"""Scenes handed to an agent at once; a planner cuts them into its own batches."""


def plan_split(agent: Agent, split: Split, data: DataConfig) -> Trajectories:
    """One plan per scene, in the split's order; chunks run across logs, few logs are in memory at a time.

    Raises:
        ScenesFailedError: the agent failed on some scenes or returned what is no plan; the exception lists all of them.
    """
    tokens: list[str] = []
    plans: list[NDArray[np.float64]] = []
    failures: list[Failure] = []
    interval_s: float | None = None
    scenes = _scenes(split, data)
    with progress(f"planning ({agent.name})", len(split)) as bar:
        while batch := list(islice(scenes, CHUNK)):
            for part, outcome in _plan_batch(agent, batch):
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                    continue
                poses, spacing_s = outcome
                if interval_s not in (None, spacing_s):
                    raise ValueError(f"agent {agent.name} changed its interval from {interval_s} s to {spacing_s} s")
                interval_s = spacing_s
                tokens += [scene.token for scene in part]
                plans.append(poses)
            bar.advance(bar.task_ids[0], len(batch))
    if failures or interval_s is None:
        raise ScenesFailedError(f"agent {agent.name}", failures, len(split))
    return Trajectories.make(np.array(tokens), np.concatenate(plans)[:, None], interval_s)


def _scenes(split: Split, data: DataConfig) -> Iterator[Scene]:
    for log_name in split.logs:
        yield from read_scenes(split, data, log_name)


Plans = tuple[NDArray[np.float64], float]


def _plan_batch(agent: Agent, batch: list[Scene]) -> Iterator[tuple[list[Scene], Plans | Failure]]:
    """The batch at once; if that fails, scene by scene, so that the failing ones are named."""
    try:
        yield batch, _checked(agent.plan(batch), len(batch))
        return
    except Exception as error:  # the agent boundary: recorded with its scene, refused by the caller
        if len(batch) == 1:
            yield batch, _failure(batch[0], error)
            return
    for scene in batch:
        try:
            yield [scene], _checked(agent.plan([scene]), 1)
        except Exception as error:
            yield [scene], _failure(scene, error)


def _checked(plans: Plans, count: int) -> Plans:
    poses = np.asarray(plans[0], dtype=np.float64)
    if poses.ndim != 3 or poses.shape[0] != count or poses.shape[2] != 3:
        raise ValueError(
            f"the agent returned poses of shape {poses.shape} for {count} scenes, expected ({count}, T, 3)"
        )
    if not np.isfinite(poses).all():
        raise ValueError("the agent returned NaN or infinity")
    return poses, float(plans[1])


def _failure(scene: Scene, error: Exception) -> Failure:
    return Failure(scene.token, scene.log_name, f"{type(error).__name__}: {error}", traceback.format_exc())

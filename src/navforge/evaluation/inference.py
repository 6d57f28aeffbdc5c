"""Plans of an agent for every scene of a split."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from navforge.agents.contract import Agent
from navforge.core.errors import DataError
from navforge.core.extensions import is_own, users_traceback
from navforge.core.failures import Failure, failure_of
from navforge.core.parallel import progress
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.evaluation.failures import ScenesFailedError
from navforge.evaluation.trajectories import Trajectories
from navforge.simulation.plans import horizon_interval

CHUNK = 128
"""Scenes handed to an agent at once; a planner cuts them into its own batches."""


def plan_split(agent: Agent, split: Split, data: DataConfig) -> Trajectories:
    """One plan per scene, in the split's order; chunks run across logs, few logs are in memory at a time.

    Raises:
        ScenesFailedError: the agent failed on some scenes or returned something else than a plan; lists all of them.
    """
    tokens: list[str] = []
    plans: list[NDArray[np.float64]] = []
    failures: list[Failure] = []
    interval_s: float | None = None
    first_error: Exception | None = None
    scenes = scenes_of(split, data)
    with progress(f"planning ({agent.name})", len(split)) as bar:
        while batch := list(islice(scenes, CHUNK)):
            for part, outcome in _plan_batch(agent, batch):
                if isinstance(outcome, Exception):
                    failures.append(failure_of(outcome, part[0].log_name, part[0].token))
                    first_error = first_error or outcome
                    continue
                poses, spacing_s = outcome
                if plans and (interval_s, plans[0].shape[1]) != (spacing_s, poses.shape[1]):
                    raise DataError(
                        f"agent {agent.name} changed from {plans[0].shape[1]} poses of {interval_s} s to "
                        f"{poses.shape[1]} of {spacing_s} s; all plans of a split must be alike"
                    )
                interval_s = spacing_s
                tokens += [scene.token for scene in part]
                plans.append(poses)
            bar.advance(bar.task_ids[0], len(batch))
    if failures or interval_s is None:
        raise ScenesFailedError(f"agent {agent.name}", failures, len(split), details=_details(agent, first_error))
    return Trajectories.make(np.array(tokens), np.concatenate(plans)[:, None], interval_s)


def scenes_of(split: Split, data: DataConfig) -> Iterator[Scene]:
    """All scenes of a split, log by log."""
    for log_name in split.logs:
        yield from read_scenes(split, data, log_name)


Plans = tuple[NDArray[np.float64], float]


def _plan_batch(agent: Agent, batch: list[Scene]) -> Iterator[tuple[list[Scene], Plans | Exception]]:
    """The batch at once; if that fails, scene by scene, so that the failing ones are named."""
    try:
        yield batch, _checked(agent.plan(batch), len(batch))
        return
    except Exception as error:  # the agent boundary: recorded with its scene, refused by the caller
        if len(batch) == 1:
            yield batch, error
            return
    for scene in batch:
        try:
            yield [scene], _checked(agent.plan([scene]), 1)
        except Exception as error:
            yield [scene], error


def _checked(plans: object, count: int) -> Plans:
    """What an agent returned, if it is poses up to 4 s and the time between them (see `Agent.plan`)."""
    if not isinstance(plans, tuple) or len(plans) != 2:
        raise ValueError(f"the agent returned {_kind(plans)}, expected a pair of poses and the time between them")
    poses = np.asarray(plans[0], dtype=np.float64)
    if poses.ndim != 3 or poses.shape[0] != count or poses.shape[2] != 3:
        raise ValueError(
            f"the agent returned poses of shape {poses.shape} for {count} scenes, expected ({count}, T, 3)"
        )
    if not np.isfinite(poses).all():
        raise ValueError("the agent returned NaN or infinity")
    return poses, horizon_interval(float(plans[1]), poses.shape[1])


def _kind(value: object) -> str:
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__}" + ("" if shape is None else f" of shape {tuple(shape)}")


def _details(agent: Agent, error: Exception | None) -> str:
    """The traceback of the first error, from the first line on that is of another package; empty where none is."""
    modules = [cls.__module__ for cls in agent.classes if not is_own(cls)]
    return "" if error is None else users_traceback(error, *modules)

"""Plans of a planner for scenes, in batches: what agents call and what training tries out before its first step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import NavforgeError
from navforge.core.parallel import available_cpus
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene
from navforge.features.store import FeatureStore
from navforge.inputs.read import read_inputs
from navforge.models.contract import Inputs
from navforge.models.planner import Planner


def plan_scenes(
    planner: Planner,
    scenes: Sequence[Scene],
    data: DataConfig,
    *,
    batch_size: int = 32,
    features: FeatureStore | None = None,
) -> tuple[NDArray[np.float64], float]:
    """Plans of scenes, on whatever device the planner is; the next batch is read while this one is planned.

    Returns:
        poses (S, T, 3) in the ego frame, the current pose left out, and the time between poses in s.

    Raises:
        DataError: a sensor file is missing or damaged.
        NavforgeError: a plan is not finite; the scene is named.
    """
    device = next(iter(planner.state_dict().values())).device
    plans = []
    interval_s = 0.0
    for batch, inputs in batches(planner, scenes, data, batch_size, features):
        output = planner.plan({name: value.to(device) for name, value in inputs.items()})
        interval_s = output.interval_s
        poses = output.trajectories.double().cpu().numpy()
        for scene, pose in zip(batch, poses, strict=True):
            if not np.isfinite(pose).all():
                raise NavforgeError(f"{planner.config.name} returned a plan that is not finite for scene {scene.token}")
        plans.append(poses)
    if not plans:
        raise NavforgeError("no scenes to plan for")
    return np.concatenate(plans), interval_s


def batches(
    planner: Planner,
    scenes: Sequence[Scene],
    data: DataConfig,
    batch_size: int,
    features: FeatureStore | None = None,
) -> Iterator[tuple[Sequence[Scene], Inputs]]:
    """Scenes in batches with their inputs, of a feature store if there is one; the next are read while one is used.

    Raises:
        DataError: a sensor file is missing or damaged.
    """
    if features is not None:
        for start in range(0, len(scenes), batch_size):
            batch = scenes[start : start + batch_size]
            yield batch, features.inputs([scene.token for scene in batch], planner.config)
        return
    parts = [scenes[start : start + batch_size] for start in range(0, len(scenes), batch_size)]
    with ThreadPoolExecutor(max_workers=min(available_cpus(), 8)) as pool:

        def read(batch: Sequence[Scene]) -> Inputs:
            return read_inputs(batch, planner.config, data)

        ahead = [pool.submit(read, batch) for batch in parts[:2]]
        for index, batch in enumerate(parts):
            inputs = ahead.pop(0).result()
            if index + 2 < len(parts):
                ahead.append(pool.submit(read, parts[index + 2]))
            yield batch, inputs

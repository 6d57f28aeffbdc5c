"""Human trajectories of a split, upsampled to 10 Hz: what vocabularies are clustered from."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.vocabulary.clustering import upsample

PLAN_FRAMES = 8
MOST_FRAMES = 10


def human_trajectories(split: Split, data: DataConfig, *, workers: int = 0) -> NDArray[np.float32]:
    """(S, 40, 3) float32, every scene of the split in the split's order.

    Raises:
        DataError: a log cannot be read or a scene has less than 4 s of future.
    """
    found: dict[str, NDArray[np.float32]] = {}
    logs = [split.one_log(log_name) for log_name in split.logs]
    serial = len(split) < 5000
    work = partial(_of_log, data=data)
    for outcome in parallel.run(work, logs, workers=1 if serial else workers, label="human trajectories"):
        (log_name,) = outcome.item.logs
        if outcome.result is None:
            raise DataError(f"log {log_name}: {outcome.error}")
        found[log_name] = outcome.result
    return np.concatenate([found[log_name] for log_name in split.logs])


def scene_trajectory(scene: Scene) -> NDArray[np.float32]:
    """(40, 3) the human's trajectory at 10 Hz; uses the fifth second, where the log has it, to shape the fourth."""
    frames = min(MOST_FRAMES, max(PLAN_FRAMES, len(scene.future)))
    return upsample(scene.human_poses(frames), scene.ego_status().velocity.astype(np.float64))


def _of_log(split: Split, data: DataConfig) -> NDArray[np.float32]:
    (log_name,) = split.logs
    return np.stack([scene_trajectory(scene) for scene in read_scenes(split, data, log_name)])

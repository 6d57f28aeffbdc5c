"""Human trajectories of a split, upsampled to 10 Hz: what vocabularies are clustered from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.vocabulary.clustering import upsample
from navforge.vocabulary.vocabulary import STEPS

PLAN_FRAMES = 8
MOST_FRAMES = 10


def human_trajectories(split: Split, data: DataConfig, *, workers: int = 0) -> NDArray[np.float32]:
    """(S, 40, 3) float32, every scene of the split in the split's order.

    Raises:
        DataError: a log cannot be read or a scene has less than 4 s of future.
    """
    trajectories = np.empty((len(split), STEPS, 3), np.float32)
    ends = np.cumsum([len(tokens) for tokens in split.logs.values()])
    last = dict(zip(split.logs, ends.tolist(), strict=True))
    logs = [split.one_log(log_name) for log_name in split.logs]
    serial = len(split) < 5000
    work = partial(_of_log, data=data)
    for outcome in parallel.run(work, logs, workers=1 if serial else workers, label="human trajectories"):
        (log_name,) = outcome.item.logs
        if outcome.result is None:
            raise DataError(f"log {log_name}: {outcome.error}")
        trajectories[last[log_name] - len(outcome.result) : last[log_name]] = outcome.result
    return trajectories


def sampled(split: Split, count: int, *, seed: int) -> Split:
    """The split with `count` of its scenes, taken at random; the split itself where it has no more.

    Args:
        split: all scenes.
        count: how many to keep.
        seed: of the draw.
    """
    if count >= len(split):
        return split
    kept = np.zeros(len(split), dtype=bool)
    kept[np.random.default_rng(seed).choice(len(split), count, replace=False)] = True
    keep = iter(kept.tolist())
    drawn = {log_name: tuple(token for token in tokens if next(keep)) for log_name, tokens in split.logs.items()}
    logs = {log_name: tokens for log_name, tokens in drawn.items() if tokens}
    return replace(split, logs=logs, folders={log_name: split.folders[log_name] for log_name in logs})


def scene_trajectories(scenes: Sequence[Scene]) -> NDArray[np.float32]:
    """(S, 40, 3) the human's trajectories at 10 Hz; the fifth second, where a log has it, shapes the fourth."""
    out = np.empty((len(scenes), STEPS, 3), np.float32)
    frames = np.array([min(MOST_FRAMES, max(PLAN_FRAMES, len(scene.future))) for scene in scenes])
    for count in np.unique(frames).tolist():
        rows = np.flatnonzero(frames == count).tolist()
        poses = np.stack([scenes[row].human_poses(count) for row in rows])
        velocity = np.stack([scenes[row].current.velocity.astype(np.float64) for row in rows])
        out[rows] = upsample(poses, velocity)
    return out


def _of_log(split: Split, data: DataConfig) -> NDArray[np.float32]:
    (log_name,) = split.logs
    return scene_trajectories(read_scenes(split, data, log_name))

"""Before the first step: plan and score a few scenes with the untrained planner, the way evaluation will."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from navforge.core.errors import DataError, NavforgeError
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.metric_cache.store import MetricCache
from navforge.models.planner import Planner
from navforge.scoring.engine import score_plans
from navforge.training.inference import plan_scenes


def smoke_evaluation(
    planner: Planner, split: Split, data: DataConfig, cache: Path, *, protocol: str, count: int
) -> dict[str, float]:
    """Score by scene token of the first scene of up to `count` logs.

    Raises:
        NavforgeError: anything that would make the evaluation after training fail, with its cause.
    """
    found = MetricCache.open(cache)
    scenes = _first_scenes(split, data, count)
    absent = sorted({scene.token for scene in scenes} - set(found.tokens))
    if absent:
        raise DataError(
            f"metric cache {cache} lacks scene {absent[0]} of {split.name}; run navforge cache on this split"
        )
    was_training = planner.training
    planner.eval()
    try:
        poses, interval_s = plan_scenes(planner, scenes, data)
        scores = {}
        for scene, plan in zip(scenes, poses, strict=True):
            result = score_plans(found.load(scene.token), plan[None], interval_s, (protocol,))[protocol]
            scores[scene.token] = float(result.score[0])
            if not np.isfinite(scores[scene.token]):
                raise NavforgeError(f"scene {scene.token} scored {scores[scene.token]}")
    except Exception as error:
        raise NavforgeError(
            f"the evaluation of the untrained planner {planner.config.name} fails, so nothing was trained: "
            f"{type(error).__name__}: {error}"
        ) from error
    finally:
        planner.train(was_training)
    return scores


def _first_scenes(split: Split, data: DataConfig, count: int) -> list[Scene]:
    """One scene of each of the first logs, further ones from the first log if there are fewer logs."""
    logs = list(split.logs)[:count]
    first = read_scenes(split, data, logs[0])
    others = [read_scenes(split, data, log_name)[0] for log_name in logs[1:]]
    return [*first[: 1 + max(0, count - len(logs))], *others]

"""Evaluation of a few scenes, the way `navforge evaluate` does it: from a checkpoint file, to a score.

What would make the evaluation after training fail shows here, before the first step and after the first epoch.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from navforge.core.errors import DataError
from navforge.core.files import write_json
from navforge.core.outside.text import read_json
from navforge.core.screen import say
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.features.store import FeatureStore
from navforge.metric_cache.store import MetricCache
from navforge.models.loading import load_planner
from navforge.models.planner import Planner
from navforge.scoring.engine import score_plans
from navforge.training.inference import plan_scenes
from navforge.training.ranks.failures import TrainingError

FILE = "smoke.json"
PROTOCOL = "epdms_v2"
"""Under which heads without a teacher are tried out."""
UNTRAINED, TRAINED = "untrained", "trained"


@dataclass(frozen=True)
class Smoke:
    """The smoke evaluation of a run; `smoke.json` in its folder says which stages have passed."""

    folder: Path
    split: Split
    data: DataConfig
    features: FeatureStore | None
    """What takes the place of images, if anything does."""
    cache: Path
    protocol: str
    count: int
    device: torch.device

    def due(self, stage: str) -> bool:
        """Whether a stage has not passed yet."""
        return self.count > 0 and stage not in self._passed()

    def run(self, stage: str, checkpoint: Path) -> None:
        """Load, plan and score; note the scores and say so on stderr.

        Raises:
            TrainingError: of cause `evaluation`; it names the scene.
        """
        begun = "so nothing was trained" if stage == UNTRAINED else "so training stops; its checkpoints are kept"
        try:
            planner = load_planner(checkpoint, self.device)
        except Exception as error:  # whatever it is, the evaluation after training would fail by it
            raise TrainingError(
                f"the {stage} planner cannot be loaded from its checkpoint, {begun}: {type(error).__name__}: {error}",
                cause="evaluation",
            ) from error
        scores = smoke_evaluation(
            planner,
            self.split,
            self.data,
            self.cache,
            protocol=self.protocol,
            count=self.count,
            features=self.features,
            consequence=begun,
        )
        write_json(self.folder / FILE, {**self._passed(), stage: {"protocol": self.protocol, "scores": scores}})
        mean = sum(scores.values()) / len(scores)
        say(
            f"{stage} planner: {self.protocol} {mean:.3f} on {len(scores)} scenes; evaluation works",
            file=sys.stderr,
            flush=True,
        )

    def _passed(self) -> dict[str, Any]:
        path = self.folder / FILE
        return read_json(path, "smoke evaluation") if path.is_file() else {}


def smoke_evaluation(
    planner: Planner,
    split: Split,
    data: DataConfig,
    cache: Path,
    *,
    protocol: str,
    count: int,
    features: FeatureStore | None = None,
    consequence: str = "so nothing was trained",
) -> dict[str, float]:
    """Score by scene token of the first scene of up to `count` logs.

    Raises:
        DataError: the metric cache lacks a scene.
        TrainingError: anything that would make the evaluation after training fail, with its cause and scene.
    """
    opened = MetricCache.open(cache)
    scenes = _first_scenes(split, data, count)
    absent = sorted({scene.token for scene in scenes} - set(opened.tokens))
    if absent:
        raise DataError(
            f"metric cache {cache} lacks scene {absent[0]} of {split.name}; run navforge cache on this split"
        )
    scores = {}
    token = ""
    try:
        for scene, plan, interval_s in _plans(planner, scenes, data, features):
            token = scene.token
            result = score_plans(opened.load(token), plan[None], interval_s, (protocol,))[protocol]
            scores[token] = float(result.score[0])
            if not np.isfinite(scores[token]):
                raise ArithmeticError(f"the score is {scores[token]}")
    except _SceneError as failed:
        raise _failure(planner, failed.token, failed.error, consequence) from failed.error
    except Exception as error:  # whatever it is, the evaluation after training would fail by it
        raise _failure(planner, token, error, consequence) from error
    return scores


class _SceneError(Exception):
    """An error and the scene it is about."""

    def __init__(self, token: str, error: Exception) -> None:
        super().__init__(token)
        self.token = token
        self.error = error


def _plans(
    planner: Planner, scenes: Sequence[Scene], data: DataConfig, features: FeatureStore | None
) -> list[tuple[Scene, np.ndarray, float]]:
    """Plan of each scene; where the batch fails, the scene that does is found by planning one at a time."""
    was_training = planner.training
    planner.eval()
    try:
        poses, interval_s = plan_scenes(planner, scenes, data, features=features)
        return [(scene, plan, interval_s) for scene, plan in zip(scenes, poses, strict=True)]
    except Exception as error:
        for scene in scenes:
            try:
                plan_scenes(planner, [scene], data, features=features)
            except Exception as alone:  # found: named and raised
                raise _SceneError(scene.token, alone) from alone
        raise _SceneError(scenes[0].token, error) from error
    finally:
        planner.train(was_training)


def _failure(planner: Planner, token: str, error: Exception, consequence: str) -> TrainingError:
    return TrainingError(
        f"the evaluation of scene {token} by planner {planner.config.name} fails, {consequence}: "
        f"{type(error).__name__}: {error}",
        cause="evaluation",
        tokens=(token,) if token else (),
    )


def _first_scenes(split: Split, data: DataConfig, count: int) -> list[Scene]:
    """One scene of each of the first logs, further ones from the first log if there are fewer logs."""
    logs = list(split.logs)[:count]
    first = read_scenes(split, data, logs[0])
    others = [read_scenes(split, data, log_name)[0] for log_name in logs[1:]]
    return [*first[: 1 + max(0, count - len(logs))], *others]

"""The evaluation before the first step finds what would fail after the last one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from navforge.core.errors import DataError, NavforgeError
from navforge.data.paths import DataConfig
from navforge.models.encoders.configs import EgoStatusConfig
from navforge.models.heads.configs import MlpHeadConfig
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig
from navforge.training import smoke as module
from navforge.training.inference import plan_scenes
from navforge.training.ranks.failures import TrainingError
from navforge.training.smoke import smoke_evaluation

from .conftest import SPLITS, FakeCache, FakeScene

PLANNER = PlannerConfig(name="mlp", encoder=EgoStatusConfig(), head=MlpHeadConfig(hidden=8, layers=1))


@dataclass
class Result:
    score: np.ndarray


class Cache(FakeCache):
    def load(self, token: str) -> FakeScene:
        return FakeScene(token)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tokens that reached the engine, in order."""
    seen: list[str] = []

    def score(scene: FakeScene, poses: np.ndarray, interval_s: float, protocols: tuple[str, ...]) -> dict[str, Result]:
        assert poses.shape == (1, 8, 3) and interval_s == 0.5
        seen.append(scene.token)
        return {protocols[0]: Result(np.array([0.5]))}

    monkeypatch.setattr(module, "MetricCache", Cache)
    monkeypatch.setattr(module, "score_plans", score)
    monkeypatch.setattr(
        module, "read_scenes", lambda split, data, log_name: [FakeScene(token) for token in split.logs[log_name]]
    )
    return seen


def evaluate(planner: Planner, count: int = 3) -> dict[str, float]:
    return smoke_evaluation(planner, SPLITS["train"], DataConfig(), Path("cache"), protocol="epdms_v2", count=count)


def test_scenes_of_several_logs_are_planned_and_scored(scored: list[str]) -> None:
    planner = PLANNER.build().train()
    assert evaluate(planner) == {"a1": 0.5, "a2": 0.5, "b1": 0.5}
    assert scored == ["a1", "a2", "b1"] and planner.training


def test_a_planner_that_plans_nonsense_stops_with_the_scene_named(scored: list[str]) -> None:
    planner = PLANNER.build()
    with torch.no_grad():
        next(planner.head.parameters()).fill_(torch.nan)
    with pytest.raises(
        NavforgeError, match=r"scene a1 by planner mlp fails, so nothing was trained.*not finite for scene a1"
    ):
        evaluate(planner)
    assert not scored


def test_a_planner_that_breaks_stops_with_its_cause(scored: list[str]) -> None:
    planner = PLANNER.build()
    planner.head.layers[0] = torch.nn.Linear(5, 8)  # type: ignore[index,operator]
    with pytest.raises(NavforgeError, match="so nothing was trained: RuntimeError"):
        evaluate(planner)


def test_an_engine_that_fails_stops(scored: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise DataError("log_a is damaged")

    monkeypatch.setattr(module, "score_plans", fails)
    with pytest.raises(TrainingError, match=r"scene a1 by planner mlp fails.*log_a is damaged") as raised:
        evaluate(PLANNER.build())
    assert raised.value.tokens == ("a1",) and raised.value.cause == "evaluation"
    assert isinstance(raised.value.__cause__, DataError)


def test_the_scene_that_fails_is_found_among_those_of_a_batch(
    scored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = module.plan_scenes

    def plan(planner: Planner, scenes: Any, data: DataConfig, **words: Any) -> Any:
        if "a2" in {scene.token for scene in scenes}:
            raise RuntimeError("no such sensor")
        return whole(planner, scenes, data, **words)

    monkeypatch.setattr(module, "plan_scenes", plan)
    with pytest.raises(TrainingError, match=r"scene a2 by planner mlp fails.*no such sensor"):
        evaluate(PLANNER.build())


def test_scene_outside_the_cache(scored: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cache, "tokens", ("b1",))
    with pytest.raises(DataError, match="lacks scene a1"):
        evaluate(PLANNER.build())


def test_batches_do_not_change_plans() -> None:
    planner = PLANNER.build().eval()
    scenes: Any = [FakeScene(token) for token in ("a1", "a2", "a3", "b1", "b2")]
    whole, interval_s = plan_scenes(planner, scenes, DataConfig())
    parts, _ = plan_scenes(planner, scenes, DataConfig(), batch_size=2)
    assert interval_s == 0.5 and whole.shape == (5, 8, 3)
    assert np.allclose(whole, parts, atol=1e-6)
    with pytest.raises(NavforgeError, match="no scenes"):
        plan_scenes(planner, [], DataConfig())

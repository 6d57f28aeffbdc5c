"""Plans of a whole split: order, batches, and failures by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from navforge.agents.contract import Agent
from navforge.core.errors import DataError, NavforgeError
from navforge.data.filters import SceneFilter
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.evaluation import inference
from navforge.evaluation.failures import ScenesFailedError
from navforge.evaluation.inference import plan_split

DATA = DataConfig(logs=None, sensors=None, maps=None)
Plans = tuple[NDArray[np.float64], float]


@dataclass(frozen=True)
class NamedScene:
    token: str
    log_name: str


class Scripted(Agent):
    """Plans by a function of tokens; remembers how it was called."""

    name = "scripted"

    def __init__(self, plan: Callable[[list[str]], Plans]) -> None:
        self.calls: list[list[str]] = []
        self._plan = plan

    def plan(self, scenes: Sequence[NamedScene]) -> Plans:  # type: ignore[override]
        tokens = [scene.token for scene in scenes]
        self.calls.append(tokens)
        return self._plan(tokens)


def numbered(tokens: list[str]) -> Plans:
    """Every pose is the token's number."""
    return np.stack([np.full((8, 3), float(token[1:])) for token in tokens]), 0.5


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> Split:
    logs = {"a": ("t0", "t1", "t2"), "b": ("t3", "t4"), "c": ("t5",)}
    split = Split(name="s", filter=SceneFilter(), logs=logs, folders=dict.fromkeys(logs, "s"))
    monkeypatch.setattr(
        inference, "read_scenes", lambda split, data, log: [NamedScene(t, log) for t in split.logs[log]]
    )
    monkeypatch.setattr(inference, "CHUNK", 4)
    return split


def test_every_scene_once_in_order_in_chunks_across_logs(split: Split) -> None:
    agent = Scripted(numbered)
    plans = plan_split(agent, split, DATA)
    assert plans.tokens == ("t0", "t1", "t2", "t3", "t4", "t5")
    assert agent.calls == [["t0", "t1", "t2", "t3"], ["t4", "t5"]]
    assert plans.poses.shape == (6, 1, 8, 3)
    np.testing.assert_array_equal(plans.poses[:, 0, 0, 0], np.arange(6))
    assert plans.interval_s == 0.5


def test_failing_scenes_are_named_and_the_others_still_tried(split: Split, tmp_path: Path) -> None:
    def broken(tokens: list[str]) -> Plans:
        if "t1" in tokens:
            raise RuntimeError("no image of t1")
        plans, interval = numbered(tokens)
        plans[[i for i, token in enumerate(tokens) if token == "t5"]] = np.nan
        return plans, interval

    agent = Scripted(broken)
    with pytest.raises(ScenesFailedError, match="2 of 6 scenes failed; no score is published") as raised:
        plan_split(agent, split, DATA)
    assert isinstance(raised.value, NavforgeError)
    assert [f.token for f in raised.value.failures] == ["t1", "t5"]
    assert "t1 (a): RuntimeError: no image of t1" in str(raised.value)
    assert "t5 (c): ValueError: the agent returned NaN or infinity" in str(raised.value)
    assert {token for call in agent.calls for token in call} == set(split.tokens)
    raised.value.write(tmp_path / "failures.json")
    written = json.loads((tmp_path / "failures.json").read_text())
    assert "no image of t1" in written[0]["traceback"]


def test_a_wrong_shape_is_a_failure(split: Split) -> None:
    with pytest.raises(ScenesFailedError, match="6 of 6 scenes failed") as raised:
        plan_split(Scripted(lambda tokens: (np.zeros((len(tokens) + 1, 8, 3)), 0.5)), split, DATA)
    assert "expected (1, T, 3)" in str(raised.value)


def test_one_cause_is_one_line(split: Split) -> None:
    def fail(tokens: list[str]) -> Plans:
        raise OSError("disk")

    with pytest.raises(ScenesFailedError) as raised:
        plan_split(Scripted(fail), split, DATA)
    lines = str(raised.value).splitlines()
    assert lines[1].endswith(" and 3 more: OSError: disk")
    assert lines[2].startswith("Traceback") and "in plan" in lines[3], "the traceback is that of the agent's own code"
    assert lines[-1] == "OSError: disk" and sum(line.startswith("Traceback") for line in lines) == 1


def test_plans_of_one_split_are_alike(split: Split) -> None:
    def unlike(tokens: list[str]) -> Plans:
        return (np.zeros((len(tokens), 40, 3)), 0.1) if "t4" in tokens else numbered(tokens)

    with pytest.raises(DataError, match=r"changed from 8 poses of 0\.5 s to 40 of 0\.1 s"):
        plan_split(Scripted(unlike), split, DATA)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((np.zeros((1, 7, 3)), 0.5), r"7 poses of 0\.5 s reach 3\.5 s"),
        ((np.zeros((1, 8, 3)), 0.3), r"interval_s=0\.3 s does not divide the 4 s"),
        ((np.zeros((1, 8, 3)), -0.5), r"the interval between poses must be at least"),
        (np.zeros((1, 8, 3)), r"returned a ndarray of shape \(1, 8, 3\), expected a pair"),
        (None, r"returned a NoneType, expected a pair"),
        (([[0.0]], 0.5), r"returned poses of shape \(1, 1\) for 1 scenes"),
    ],
)
def test_what_is_no_plan_is_named(split: Split, returned: object, message: str) -> None:
    with pytest.raises(ScenesFailedError, match=message):
        plan_split(Scripted(lambda tokens: returned), split, DATA)  # type: ignore[arg-type, return-value]

"""Time and memory of inference at batch 1, by a clock that the agent under test moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from navforge.agents.contract import Agent
from navforge.cli.main import main
from navforge.core.errors import DataError
from navforge.evaluation import latency as module
from navforge.evaluation.latency import WARM_UP, measure_latency, render_latency


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: self.now_s))


class Slow(Agent):
    """Takes a second to warm up, then 1, 2, 3 ... ms a scene, of which the network takes a tenth."""

    name = "slow"

    def __init__(self, clock: Clock, *, has_network: bool = True) -> None:
        self.clock, self.has_network = clock, has_network
        self.calls: list[Sequence[Any]] = []
        self.forwards = 0

    def plan(self, scenes: Sequence[Any]) -> tuple[np.ndarray, float]:
        self.calls.append(scenes)
        count = len(self.calls) - WARM_UP
        self.clock.now_s += 1.0 if count <= 0 else 1e-3 * count
        return np.zeros((1, 8, 3)), 0.5

    def forward_of(self, scene: Any) -> Callable[[], object] | None:
        self.clock.now_s += 5.0  # reading does not count
        return self._forward if self.has_network else None

    def _forward(self) -> None:
        self.forwards += 1
        count = self.forwards - WARM_UP
        self.clock.now_s += 1.0 if count <= 0 else 1e-4 * count


def test_median_and_95th_percentile_of_single_scenes_without_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Slow(Clock(monkeypatch))
    found = measure_latency(agent, ["a", "b", "c"], 21)  # type: ignore[list-item]
    assert found.scene.median_ms == pytest.approx(11.0) and found.scene.p95_ms == pytest.approx(20.0)
    assert found.network is not None
    assert found.network.median_ms == pytest.approx(1.1) and found.network.p95_ms == pytest.approx(2.0)
    assert agent.calls[:4] == [["a"], ["b"], ["c"], ["a"]] and len(agent.calls) == WARM_UP + 21 == agent.forwards
    assert found.device and found.repeats == 21 and found.peak_memory_bytes > 10 * 2**20
    words = render_latency(found)
    assert "11.00 ms (95 % below 20.00) a scene, the network alone 1.10 ms" in words and found.device in words


def test_agents_that_read_and_compute_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure_latency(Slow(Clock(monkeypatch), has_network=False), ["a"], 10)  # type: ignore[list-item]
    assert found.network is None and "network" not in render_latency(found)
    with pytest.raises(DataError, match="no scene"):
        measure_latency(Slow(Clock(monkeypatch)), [], 10)


def test_an_evaluation_writes_and_prints_it(
    tiny_town: Path, town_files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "agent=constant_velocity",
        "split=train",
        f"cache={town_files['cache']}",
        f"data.logs={tiny_town / 'navsim_logs'}",
        f"data.maps={tiny_town / 'maps'}",
        "workers=1",
    ]
    assert main(["evaluate", *words, f"out={tmp_path / 'a'}", "latency=true", "latency_repeats=12"]) == 0
    assert "latency at batch 1: " in capsys.readouterr().out
    written = json.loads((tmp_path / "a" / "summary.json").read_text())["latency"]
    assert written["repeats"] == 12 and 0 < written["scene"]["median_ms"] <= written["scene"]["p95_ms"]
    assert written["network"] is None
    assert main(["evaluate", *words, f"out={tmp_path / 'b'}"]) == 0
    assert "latency" not in json.loads((tmp_path / "b" / "summary.json").read_text())

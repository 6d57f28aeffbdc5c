"""The chosen scenes cover the reasons, differ, spread over logs, and do not depend on input order."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.reports.choose import SceneFacts, choose_scenes, facts_of
from tests.reports import report_scene


def facts(number: int, **changes: float) -> SceneFacts:
    plain = {"turn": 0.0, "speed": 8.0, "travel": 32.0, "nearest": 60.0, "score": 0.8, "baseline": 0.8}
    return SceneFacts(token=f"{number:016x}", log_name=f"log{number % 3}", **{**plain, **changes})


SCENES = [
    facts(0, turn=1.4),
    facts(1, turn=0.7),
    facts(2, turn=-1.2),
    facts(3, score=0.0),
    facts(4, travel=8.0),
    facts(5, nearest=3.0),
    facts(6, score=0.9, baseline=0.1),
    facts(7, score=0.6, baseline=1.0),
    facts(8, speed=0.0, travel=12.0),
    facts(9, score=1.0, baseline=1.0),
    *(facts(number) for number in range(10, 20)),
]


def test_every_reason_finds_its_scene() -> None:
    found = {choice.reason: int(choice.token, 16) for choice in choose_scenes(SCENES, 10)}
    assert len(found) == 10
    assert found["left turn"] == 0
    assert found["right turn"] == 2
    assert found["worst score"] == 3
    assert found["stopping"] == 4
    assert found["conflict"] == 5
    assert found["gain over the baseline"] == 6
    assert found["loss against the baseline"] == 7
    assert found["pulling away"] == 8


@pytest.mark.parametrize(("metres", "near"), [(11.9, True), (12.1, False)])
def test_another_agent_within_12_metres_makes_a_conflict(metres: float, near: bool) -> None:
    reasons = {choice.reason for choice in choose_scenes([facts(0, nearest=metres), facts(1)], 2)}
    assert ("conflict" in reasons) == near


def test_choice_is_unique_and_ignores_order() -> None:
    first = choose_scenes(SCENES, 14)
    assert len({choice.token for choice in first}) == 14
    assert choose_scenes(SCENES[::-1], 14) == first


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_scenes(count: int) -> None:
    assert len(choose_scenes(SCENES[:count], 12)) == count
    assert choose_scenes([], 8) == []


def test_logs_take_turns() -> None:
    scenes = [facts(number) for number in range(9)]
    names = [int(choice.token, 16) % 3 for choice in choose_scenes(scenes, 6)]
    assert set(names[:3]) == set(names[3:]) == {0, 1, 2}


def test_facts_of_a_scene() -> None:
    found = facts_of(report_scene.scene(turn=-0.8), 0.5, 0.25)
    assert found.turn == pytest.approx(-0.8)
    assert found.speed == pytest.approx(6.0)
    assert found.travel == pytest.approx(24.0)
    path = report_scene.human(-0.8)
    time = np.arange(1, 9) * 0.5
    expected = min(
        np.hypot(path[:, 0] - x - v * time, path[:, 1] - y).min() for x, y, v in ((15.0, 0.0, 5.0), (25.0, 3.5, -6.0))
    )
    assert found.nearest == pytest.approx(expected, abs=1e-6)

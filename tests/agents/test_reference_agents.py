"""Constant velocity and human plan exactly as the devkit's agents do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from navforge import agents
from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.splits import load_split


@pytest.mark.parametrize(("name", "golden", "tolerance"), [("constant_velocity", "cv", 0.0), ("human", "human", 1e-12)])
def test_plans_on_real_logs(realdata: Path, name: str, golden: str, tolerance: float) -> None:
    data = DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=None)
    split = load_split("real", data)
    agent = agents.build(name)
    for log in split.logs:
        scenes = read_scenes(split, data, log)
        poses, interval_s = agent.plan(scenes)
        assert interval_s == 0.5
        for scene, plan in zip(scenes, poses, strict=True):
            with np.load(realdata / "golden" / "v2" / log / f"{scene.token}.npz") as official:
                np.testing.assert_allclose(plan, official[f"{golden}_poses"], rtol=0, atol=tolerance)


def test_constant_velocity_drives_the_norm_of_the_velocity_straight_ahead() -> None:
    """3 m/s ahead and 4 m/s to the left: 2.5 m every half second along the heading, as the devkit's agent has it."""
    velocity = np.array([3.0, 4.0], dtype=np.float32)
    scene: Any = SimpleNamespace(ego_status=lambda: SimpleNamespace(velocity=velocity))
    poses, interval_s = agents.build("constant_velocity").plan([scene])
    assert interval_s == 0.5
    np.testing.assert_array_equal(poses[0, :, 0], 2.5 * np.arange(1, 9))
    np.testing.assert_array_equal(poses[0, :, 1:], 0.0)


def test_stop_stays_where_it_is() -> None:
    poses, interval_s = agents.build("stop").plan([SimpleNamespace(), SimpleNamespace()])  # type: ignore[list-item]
    assert interval_s == 0.5 and poses.shape == (2, 8, 3) and not poses.any()

"""Keeps the current speed, straight ahead: the benchmark's floor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navforge.agents.contract import INTERVAL_S, POSES, Agent
from navforge.geometry.columns import Pose

if TYPE_CHECKING:
    from navforge.data.scenes import Scene


class ConstantVelocity(Agent):
    """x = speed * t along the current heading; speed is the norm of the velocity, as the devkit's agent takes it.

    Equal to the devkit's plan to the last bit: velocities are squared and summed in float32, the plan is rounded to it.
    """

    name = "constant_velocity"

    def plan(self, scenes: Sequence[Scene]) -> tuple[NDArray[np.float64], float]:
        """See `Agent.plan`."""
        poses = np.zeros((len(scenes), POSES, 3))
        times = np.arange(1, POSES + 1) * INTERVAL_S
        for row, scene in zip(poses, scenes, strict=True):
            velocity = scene.ego_status().velocity
            speed_mps = float((velocity**2).sum()) ** 0.5
            row[:, Pose.X] = (times * speed_mps).astype(np.float32)
        return poses, INTERVAL_S

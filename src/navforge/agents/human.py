"""Drives what the human drove: the benchmark's privileged reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navforge.agents.contract import INTERVAL_S, POSES, Agent

if TYPE_CHECKING:
    from navforge.data.scenes import Scene


class Human(Agent):
    """The logged future."""

    name = "human"

    def plan(self, scenes: Sequence[Scene]) -> tuple[NDArray[np.float64], float]:
        """See `Agent.plan`."""
        return np.stack([scene.human_poses(POSES) for scene in scenes]), INTERVAL_S

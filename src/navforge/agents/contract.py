"""What every agent promises: scenes in, one trajectory per scene out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from navforge.data.scenes import Scene

INTERVAL_S = 0.5
POSES = 8
"""Poses of a plan at 2 Hz: the benchmark's 4 s."""


class Agent(ABC):
    """Turns scenes into plans; knows nothing of how they are scored."""

    name: str
    fingerprint: str | None = None
    """Fingerprint of the checkpoint behind the agent; None for agents without one."""

    @abstractmethod
    def plan(self, scenes: Sequence[Scene]) -> tuple[NDArray[np.float64], float]:
        """Plans for a batch of scenes.

        Returns:
            poses (B, T, 3) x m, y m, heading rad in the ego rear-axle frame, the current pose left out, and the time
            between poses in seconds.
        """

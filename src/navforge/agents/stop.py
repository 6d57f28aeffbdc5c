"""Stands where it is: a plan of zeros, below which a score says nothing of driving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from navforge.agents.contract import INTERVAL_S, POSES, Agent

if TYPE_CHECKING:
    from navforge.data.scenes import Scene


class Stop(Agent):
    """The current pose at every time; the tracker brakes as hard as it may."""

    name = "stop"

    def plan(self, scenes: Sequence[Scene]) -> tuple[NDArray[np.float64], float]:
        """See `Agent.plan`."""
        return np.zeros((len(scenes), POSES, 3)), INTERVAL_S

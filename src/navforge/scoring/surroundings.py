"""What part of a scene the scores of some simulated states can depend on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import State
from navforge.geometry.vehicle import REAR_AXLE_TO_CENTER_M
from navforge.scoring.kernels.reach import LOOK_AHEAD_S, LOOK_AHEADS
from navforge.scoring.kernels.traffic import EGO_RADIUS_M

Float = NDArray[np.float64]

_SLACK_M = 1.0


def surroundings(states: Float) -> Float:
    """(4,) low x, low y, high x, high y around the ego's boxes, where time to collision looks ahead included.

    Polygons of the map and objects beyond do not change any score of these states.

    Args:
        states: (N, T, 11) simulated states, global frame.
    """
    x, y = states[..., State.X], states[..., State.Y]
    speed = np.hypot(states[..., State.VELOCITY_X], states[..., State.VELOCITY_Y]).max(initial=0.0)
    reach = REAR_AXLE_TO_CENTER_M + EGO_RADIUS_M + LOOK_AHEADS * LOOK_AHEAD_S * speed + _SLACK_M
    low, high = x.min(initial=np.inf), x.max(initial=-np.inf)
    return np.array([low - reach, y.min(initial=np.inf) - reach, high + reach, y.max(initial=-np.inf) + reach])

"""The intelligent driver model that moves PDM-Closed's proposals along their paths (`BatchIDMPolicy`)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

SPEED_FRACTIONS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Target speeds as fractions of the speed limit."""

_FALLBACK_SPEED_MPS = 15.0
_MIN_GAP_M = 1.0
_HEADWAY_S = 1.5
_MAX_ACCELERATION = 1.5
_MAX_DECELERATION = 3.0
_EXPONENT = 10


class Motion(IntEnum):
    """Columns of the state along a path (..., 2)."""

    PROGRESS = 0
    SPEED = 1


class Leader(IntEnum):
    """Columns of the leading obstacle (..., 3): m along the path, m/s, m that the gap is shortened by."""

    PROGRESS = 0
    SPEED = 1
    REAR = 2


def target_speeds(speed_limit_mps: float | None) -> Float:
    """(5,) target speeds in m/s; 15 m/s stands in for an unknown limit."""
    limit = _FALLBACK_SPEED_MPS if speed_limit_mps is None else speed_limit_mps
    return np.array(SPEED_FRACTIONS) * limit


def advance(motion: Float, leader: Float, target_mps: Float, step_s: float) -> Float:
    """One step of the model.

    dv/dt = a (1 - (v / v0)^10 - (s* / s)^2), s* = s0 + v T + v (v - v_lead) / (2 sqrt(a b)); the acceleration is
    limited to [-b, a], the gap s to at least s0.

    Args:
        motion: (N, 2) `Motion` now.
        leader: (N, 3) `Leader`.
        target_mps: (N,) v0.
        step_s: time step.

    Returns:
        (N, 2) `Motion` after the step.
    """
    progress, speed = motion[:, Motion.PROGRESS], motion[:, Motion.SPEED]
    approach = speed * (speed - leader[:, Leader.SPEED]) / (2 * np.sqrt(_MAX_ACCELERATION * _MAX_DECELERATION))
    wanted_gap = _MIN_GAP_M + speed * _HEADWAY_S + approach
    gap = np.maximum(leader[:, Leader.PROGRESS] - progress - leader[:, Leader.REAR], _MIN_GAP_M)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        acceleration = _MAX_ACCELERATION * (1 - (speed / target_mps) ** _EXPONENT - (wanted_gap / gap) ** 2)
    acceleration = np.clip(acceleration, -_MAX_DECELERATION, _MAX_ACCELERATION)
    return np.stack([progress + step_s * speed, speed + step_s * acceleration], axis=-1)

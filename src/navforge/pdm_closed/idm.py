"""The intelligent driver model that moves PDM-Closed's proposals along their paths (`BatchIDMPolicy`)."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.compiled import kernel
from navforge.simulation.kernels.idm import Driver, idm_acceleration

Float = NDArray[np.float64]

SPEED_FRACTIONS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Target speeds as fractions of the speed limit."""

_FALLBACK_SPEED_MPS = 15.0
_DRIVER = Driver(min_gap_m=1.0, headway_s=1.5, max_acceleration=1.5, max_deceleration=3.0)
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
    """One step of the model (`simulation.kernels.idm`), the exponent being 10.

    Args:
        motion: (N, 2) `Motion` now.
        leader: (N, 3) `Leader`.
        target_mps: (N,) v0.
        step_s: time step.

    Returns:
        (N, 2) `Motion` after the step.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        effort = (motion[:, Motion.SPEED] / target_mps) ** _EXPONENT
    moved = np.empty((len(motion), len(Motion)))
    _advance(motion, leader, effort, step_s, moved)
    return moved


@kernel(allocates=True, error_model="numpy")
def _advance(motion, leader, effort, step_s, moved):
    """Fill `moved` (N, 2); `effort` (N,) is (v / v0)^10."""
    for n in range(len(motion)):
        progress = motion[n, 0]
        speed = motion[n, 1]
        gap = leader[n, 0] - progress - leader[n, 2]
        moved[n, 0] = progress + step_s * speed
        moved[n, 1] = speed + step_s * idm_acceleration(_DRIVER, speed, effort[n], gap, leader[n, 1])

"""Constants of the LQR tracker and the fit of its velocity profile, in closed form.

The official tracker (`BatchLQRTracker`, nuPlan's and NAVSIM's) estimates the speed along a plan by regularised least
squares: with `d` (40,) the displacements along the heading, `L` (40, 40) the matrix that maps (initial speed, 39
accelerations) to them, and `R` the penalty rows, it solves `min |L x - d|^2 + jerk_penalty |R x|^2`. Headings drop out
of the normal matrix (cos^2 + sin^2 = 1), so the fitted profile is one constant matrix times `d`: no pseudo-inverse.

`R` is what the official code does, not what its documentation says: its banded difference matrix is filled with +1
and then overwritten by the -1 band, so it penalises the accelerations 1..37 themselves, and one last difference.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

STEP_S = 0.1
STEPS = 41
"""States of a simulated plan: the current one and 40 steps."""
INTERVALS = STEPS - 1
TRACKING_STEPS = 10
"""Look-ahead of the tracker."""
JERK_PENALTY = 1e-4
CURVATURE_RATE_PENALTY = 1e-2
INITIAL_CURVATURE_PENALTY = 1e-10
LONGITUDINAL_WEIGHT = 10.0
LATERAL_ERROR_WEIGHT = 1.0
HEADING_ERROR_WEIGHT = 10.0
INPUT_WEIGHT = 1.0
STOPPING_SPEED_MPS = 0.2
STOPPING_GAIN = 0.5
MAX_STEERING_ANGLE = np.pi / 3
ACCELERATION_TIME_CONSTANT_S = 0.2
STEERING_TIME_CONSTANT_S = 0.05


@cache
def velocity_matrix() -> NDArray[np.float64]:
    """(40, 40) matrix from displacements along the heading (m per step) to the fitted speeds (m/s) at each step.

    Solved by elimination in extended precision, without BLAS, so that every machine gets the same matrix.
    """
    n = INTERVALS
    dt = np.longdouble(STEP_S)
    motion = np.tril(np.full((n, n), dt * dt, dtype=np.longdouble))
    motion[:, 0] = dt
    penalty = np.zeros((n - 2, n), dtype=np.longdouble)
    penalty[:, 1:-1] = -np.eye(n - 2, dtype=np.longdouble)
    penalty[-1, -1] = 1
    weight = np.longdouble(JERK_PENALTY)
    normal = (motion.T[:, :, None] * motion[None]).sum(axis=1) + weight * (penalty.T[:, :, None] * penalty[None]).sum(1)
    fit = _solve(normal, motion.T.copy())
    speeds = fit.copy()
    speeds[1:] = fit[0] + dt * np.cumsum(fit[1:], axis=0)
    return np.ascontiguousarray(speeds.astype(np.float64))


def _solve(matrix: NDArray[np.longdouble], rhs: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Gauss-Jordan elimination with partial pivoting."""
    a = np.concatenate([matrix, rhs], axis=1)
    n = len(matrix)
    for i in range(n):
        pivot = i + int(np.argmax(np.abs(a[i:, i])))
        a[[i, pivot]] = a[[pivot, i]]
        a[i] /= a[i, i]
        others = np.arange(n) != i
        a[others] -= a[others, i, None] * a[i]
    return a[:, n:]

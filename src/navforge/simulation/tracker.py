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
# Defaults of nuPlan's `BatchLQRTracker` and `BatchKinematicBicycleModel`, which NAVSIM uses unchanged.
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
def speed_factors() -> NDArray[np.float64]:
    """(3, 40) factors by which the speeds of a plan are solved for, from the displacements along its heading.

    With the speeds v as unknowns, the accelerations are (v_k - v_(k-1)) / dt, and the normal matrix of the fit is the
    constant I + c (differences' products), c = jerk_penalty / dt^4: tridiagonal but for one entry in the last row.
    With its elimination L D L^T: row 0 holds L[k, k-1], row 1 L[k, k-2], row 2 1 / (D[k] dt). Computed in extended
    precision, without BLAS, so that every machine gets the same factors.
    """
    n = INTERVALS
    dt = np.longdouble(STEP_S)
    weight = np.longdouble(JERK_PENALTY) / dt**4
    differences = np.zeros((n - 2, n), dtype=np.longdouble)
    for row in range(n - 3):
        differences[row, row : row + 2] = [-1, 1]
    differences[-1, -3:] = [1, -2, 1]
    normal = np.eye(n, dtype=np.longdouble) + weight * (differences.T[:, :, None] * differences[None]).sum(axis=1)
    lower = np.eye(n, dtype=np.longdouble)
    diagonal = np.zeros(n, dtype=np.longdouble)
    for k in range(n):
        diagonal[k] = normal[k, k] - (lower[k, :k] ** 2 * diagonal[:k]).sum()
        known = (lower[k + 1 :, :k] * (lower[k, :k] * diagonal[:k])).sum(axis=1)
        lower[k + 1 :, k] = (normal[k + 1 :, k] - known) / diagonal[k]
    factors = np.zeros((3, n))
    factors[0, 1:] = np.diagonal(lower, -1)
    factors[1, 2:] = np.diagonal(lower, -2)
    factors[2] = 1 / (diagonal * dt)
    return factors

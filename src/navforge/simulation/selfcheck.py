"""Start-up check that this machine computes trajectories as every other does.

The official tracker's pseudo-inverse is wrong by factors of 1e4 on some CPUs with some BLAS builds; ours uses none, but
a miscompiled kernel or a broken maths library would be as silent. `check` costs milliseconds once kernels are compiled.
"""

from __future__ import annotations

import numpy as np

from navforge.core.errors import NavforgeError
from navforge.geometry.columns import STATE_SIZE, State
from navforge.simulation.kernels.rollout import REF_X, SPEED, WORK_ROWS, WORK_STEPS, fit_speeds
from navforge.simulation.rollout import simulate
from navforge.simulation.tracker import INTERVALS, STEP_S, STEPS, speed_factors

TOLERANCE = 1e-9

# Last state (x, y, heading, speed, steering angle) of `_test_references`, agreed between the kernels and the plain
# reference implementation of the tests, which solves the fits with a pseudo-inverse.
EXPECTED = np.array(
    [
        [23.232604672915759, 17.057179923795339, 1.2786096616612377, 9.6418244337533601, 0.097039929564120261],
        [10.533591444987598, -0.29863903527524077, -0.11003540401191476, 0.18086606421878734, -0.054256702204408883],
        [6.6458256454176059, 0.071003536553367538, 0.0099026856370759662, 0.078825082088881587, -0.01235580924887901],
    ]
)
COLUMNS = (State.X, State.Y, State.HEADING, State.VELOCITY_X, State.STEERING_ANGLE)
SPEED_MPS = 7.0


def check() -> None:
    """Compare simulated states and the velocity fit with known values.

    Raises:
        NavforgeError: this machine disagrees; no score computed on it can be trusted.
    """
    work = np.zeros((WORK_ROWS, WORK_STEPS, 1))
    work[REF_X, :STEPS, 0] = SPEED_MPS * STEP_S * np.arange(STEPS)
    fit_speeds(speed_factors(), work, 0)
    constant_speed = np.full(INTERVALS, SPEED_MPS)
    _compare(f"the velocity fit of a plan at {SPEED_MPS} m/s", work[SPEED, :INTERVALS, 0], constant_speed)
    states = simulate(_test_state(), _test_references())
    _compare("the simulated states", states[:, -1, COLUMNS], EXPECTED)


def _test_state() -> np.ndarray:
    state = np.zeros(STATE_SIZE)
    state[State.VELOCITY_X] = 6.0
    state[State.ACCELERATION_X] = 0.3
    state[State.STEERING_ANGLE] = 0.02
    return state


def _test_references() -> np.ndarray:
    """Three plans (3, 41, 3): an accelerating curve, braking to a stop, standing still while the ego moves."""
    t = np.arange(STEPS) * STEP_S
    travelled = np.stack([6.0 * t + 0.5 * t * t, 6.0 * np.minimum(t, 3.0) - np.minimum(t, 3.0) ** 2, 0.0 * t])
    curvature = np.array([0.04, -0.01, 0.0])[:, None]
    heading = curvature * travelled
    bent = np.where(curvature == 0.0, 1.0, curvature)
    x = np.where(curvature == 0.0, travelled, np.sin(heading) / bent)
    y = np.where(curvature == 0.0, 0.0, (1.0 - np.cos(heading)) / bent)
    return np.stack([x, y, heading], axis=-1)


def _compare(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    worst = float(np.abs(found - expected).max())
    if not worst <= TOLERANCE:
        raise NavforgeError(
            f"self-check failed: {what} differ by {worst:.3g} from the known values, so no score computed here can be "
            "trusted. Likely causes: a damaged numba cache (delete the __pycache__ folders), a broken maths library "
            f"or processor. numpy {np.__version__}"
        )

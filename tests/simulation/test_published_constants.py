"""Constants of tracker and bicycle model at their edge: the numbers here are nuPlan's own.

Where a constant decides between two rules, random plans rarely come near enough to tell it from a similar one.
"""

from __future__ import annotations

import numpy as np
import pytest

from navforge.geometry.columns import STATE_SIZE, State
from navforge.simulation.kernels.rollout import fit_curvatures
from navforge.simulation.rollout import simulate
from navforge.simulation.rows import CURVATURE, REF_HEADING, SPEED, WORK_ROWS, WORK_STEPS

LOW_PASS = 0.1 / (0.1 + 0.2)
"""Share of an asked acceleration that one step of 0.1 s gives, by a time constant of 0.2 s."""


def first_acceleration(ego_mps: float, plan_mps: float) -> float:
    """Of an ego that does not accelerate yet, along a straight plan at constant speed."""
    ego, plan = np.zeros(STATE_SIZE), np.zeros((1, 41, 3))
    ego[State.VELOCITY_X] = ego_mps
    plan[0, :, 0] = plan_mps * 0.1 * np.arange(41)
    return float(simulate(ego, plan)[0, 1, State.ACCELERATION_X])


@pytest.mark.parametrize(
    ("ego_mps", "plan_mps", "gain"),
    [
        (0.1, 0.1999, 0.5),
        (0.1, 0.2001, 10.0 / 11.0),
        (0.1999, 0.1, 0.5),
        (0.2001, 0.1, 10.0 / 11.0),
    ],
)
def test_the_stopping_controller_takes_over_at_0_2_metres_per_second(
    ego_mps: float, plan_mps: float, gain: float
) -> None:
    """It has gain 0.5; the regulator (weight 10, input 1, over 1 s) has 10 / 11."""
    assert first_acceleration(ego_mps, plan_mps) == pytest.approx(LOW_PASS * gain * (plan_mps - ego_mps), rel=1e-6)


@pytest.mark.parametrize("degrees", [59.9, 60.1, -59.9, -60.1])
def test_steering_ends_at_60_degrees(degrees: float) -> None:
    """A standing ego asks for no steering rate."""
    ego = np.zeros(STATE_SIZE)
    ego[State.STEERING_ANGLE] = np.radians(degrees)
    steering = simulate(ego, np.zeros((1, 41, 3)))[0, 1:, State.STEERING_ANGLE]
    np.testing.assert_allclose(steering, np.radians(np.clip(degrees, -60.0, 60.0)), rtol=0, atol=1e-12)


def test_the_first_curvature_of_a_plan_that_hardly_moves_is_held_down() -> None:
    """Curvatures k of steps s with turns d minimise sum (d - s k)^2 + 1e-10 k^2, as their changes cost far more.

    Of 40 equal steps with 40 s^2 = 1e-10 that is half of d / s.
    """
    work = np.zeros((WORK_ROWS, WORK_STEPS, 1))
    step_m, turn = np.sqrt(1e-10 / 40.0), 1e-6
    work[SPEED, :, 0] = step_m / 0.1
    work[REF_HEADING, :, 0] = turn * np.arange(WORK_STEPS)
    fit_curvatures(work, 0)
    np.testing.assert_allclose(work[CURVATURE, :40, 0], 0.5 * turn / step_m, rtol=1e-6)

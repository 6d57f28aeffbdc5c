from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE, State
from navforge.geometry.se2 import poses_to_global
from navforge.simulation.rollout import simulate
from navforge.simulation.tracker import velocity_matrix
from tests.simulation.reference import profiles, simulate_one


def moving(speed: float = 6.0) -> np.ndarray:
    state = np.zeros(STATE_SIZE)
    state[State.VELOCITY_X] = speed
    return state


def random_plans(rng: np.random.Generator, count: int) -> np.ndarray:
    """Smooth random plans, some reversing, some nearly standing."""
    t = np.arange(41) * 0.1
    speed = rng.uniform(-2.0, 14.0, (count, 1)) + rng.normal(0.0, 1.0, (count, 1)) * t
    yaw_rate = rng.normal(0.0, 0.15, (count, 1)) + rng.normal(0.0, 0.05, (count, 1)) * t
    heading = np.concatenate([np.zeros((count, 1)), np.cumsum(yaw_rate[:, :-1] * 0.1, axis=1)], axis=1)
    step = speed[:, :-1, None] * 0.1 * np.stack([np.cos(heading), np.sin(heading)], axis=-1)[:, :-1]
    xy = np.concatenate([np.zeros((count, 1, 2)), np.cumsum(step, axis=1)], axis=1)
    return np.concatenate([xy, heading[..., None]], axis=-1)


def test_agrees_with_the_plain_reference() -> None:
    rng = np.random.default_rng(0)
    plans = random_plans(rng, 20)
    for initial_speed in (0.0, 5.0):
        ego = moving(initial_speed)
        ego[State.STEERING_ANGLE] = 0.05
        ego[State.ACCELERATION_X] = -0.4
        states = simulate(ego, plans)
        for plan, simulated in zip(plans, states, strict=True):
            np.testing.assert_allclose(simulated, simulate_one(ego, plan), atol=1e-7)


def test_velocity_matrix_is_the_least_squares_fit() -> None:
    plan = random_plans(np.random.default_rng(3), 1)[0]
    displacement = (np.diff(plan[:, :2], axis=0) * np.stack([np.cos(plan[:-1, 2]), np.sin(plan[:-1, 2])], 1)).sum(1)
    np.testing.assert_allclose(velocity_matrix() @ displacement, profiles(plan)[0], atol=1e-9)


def test_driving_straight_at_constant_speed_stays_straight() -> None:
    t = np.arange(41) * 0.1
    states = simulate(moving(8.0), np.stack([8.0 * t, 0 * t, 0 * t], axis=1)[None])[0]
    np.testing.assert_allclose(states[:, State.X], 8.0 * t, atol=1e-9)
    np.testing.assert_allclose(states[:, State.VELOCITY_X], 8.0, atol=1e-9)
    np.testing.assert_allclose(states[:, [State.Y, State.HEADING, State.STEERING_ANGLE]], 0.0, atol=1e-12)


def test_a_standing_ego_with_a_standing_plan_does_not_move() -> None:
    states = simulate(moving(0.0), np.zeros((1, 41, 3)))[0]
    np.testing.assert_array_equal(states, 0.0)


def test_braking_to_a_stop_uses_the_stopping_controller() -> None:
    states = simulate(moving(0.15), np.zeros((1, 41, 3)))[0]
    # a(1) = 1/3 of the command -0.5 * v, by the acceleration's low pass.
    assert states[1, State.ACCELERATION_X] == pytest.approx(-0.5 * 0.15 / 3.0, abs=1e-12)


def test_headings_beyond_pi_are_the_same_plan() -> None:
    plans = random_plans(np.random.default_rng(1), 5)
    turned = plans.copy()
    turned[..., 2] += 6.0 * np.pi
    np.testing.assert_allclose(simulate(moving(), turned), simulate(moving(), plans), atol=1e-9)


def test_moving_everything_moves_the_result() -> None:
    plans = random_plans(np.random.default_rng(2), 8)
    origin = np.array([6.1e5, 4.8e6, 3.0])
    ego = moving()
    states = simulate(ego, plans)
    ego[:3] = origin
    moved = simulate(ego, poses_to_global(origin, plans))
    expected = poses_to_global(origin, states[..., :3])
    np.testing.assert_allclose(moved[..., :2], expected[..., :2], atol=1e-6)
    turn = moved[..., 2] - expected[..., 2]
    np.testing.assert_allclose(np.arctan2(np.sin(turn), np.cos(turn)), 0.0, atol=1e-6)
    np.testing.assert_allclose(moved[..., 3:], states[..., 3:], atol=1e-4)


def test_plans_do_not_influence_each_other() -> None:
    plans = random_plans(np.random.default_rng(4), 12)
    order = np.random.default_rng(5).permutation(12)
    together = simulate(moving(), plans)
    np.testing.assert_array_equal(simulate(moving(), plans[order]), together[order])
    np.testing.assert_array_equal(simulate(moving(), plans[7:8])[0], together[7])


def test_no_plans() -> None:
    assert simulate(moving(), np.empty((0, 41, 3))).shape == (0, 41, 11)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_what_is_not_finite(bad: float) -> None:
    plans = np.zeros((3, 41, 3))
    plans[2, 5, 1] = bad
    with pytest.raises(DataError, match="reference 2 has a pose that is not finite"):
        simulate(moving(), plans)
    ego = moving()
    ego[3] = bad
    with pytest.raises(DataError, match="ego state"):
        simulate(ego, np.zeros((1, 41, 3)))


def test_refuses_a_wrong_shape() -> None:
    with pytest.raises(DataError, match=r"\(N, 41, 3\)"):
        simulate(moving(), np.zeros((1, 40, 3)))

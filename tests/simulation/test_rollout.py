from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE, State
from navforge.geometry.se2 import poses_to_global
from navforge.simulation.kernels import rollout as kernels
from navforge.simulation.plans import prepare_plans, reference_poses, sampling
from navforge.simulation.rollout import drive, simulate
from navforge.simulation.tracker import speed_factors
from tests.simulation.reference import simulate_one


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


START_US = 315_971_925_959_748


def global_ego() -> np.ndarray:
    ego = moving(4.0)
    ego[:3] = 6.1e5, 4.8e6, -2.7
    ego[State.STEERING_ANGLE] = -0.03
    ego[State.YAW_RATE] = 0.05
    return ego


def knots_of(seed: int, count: int, poses: int, interval_s: float) -> np.ndarray:
    plans = random_plans(np.random.default_rng(seed), count)
    at = np.minimum(np.round(np.arange(1, poses + 1) * interval_s / 0.1).astype(int), 40)
    return plans[:, at]


@pytest.mark.parametrize(("poses", "interval_s"), [(40, 0.1), (8, 0.5), (3, 1.0), (1, 4.0)])
def test_driving_plans_is_simulating_their_reference_poses(poses: int, interval_s: float) -> None:
    plans = knots_of(6, 50, poses, interval_s)
    ego = global_ego()
    states = drive(ego, START_US, prepare_plans(plans, interval_s))
    references = reference_poses(plans, interval_s, START_US, ego[:3])
    np.testing.assert_allclose(states, simulate(ego, references), rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", range(1, 18))
def test_splitting_a_batch_changes_no_bit(count: int) -> None:
    plans = knots_of(7, 17, 40, 0.1)
    ego = global_ego()
    whole = drive(ego, START_US, prepare_plans(plans, 0.1))
    first = drive(ego, START_US, prepare_plans(plans[:count], 0.1))
    rest = drive(ego, START_US, prepare_plans(plans[count:], 0.1))
    np.testing.assert_array_equal(np.concatenate([first, rest]), whole)
    references = reference_poses(plans, 0.1, START_US, ego[:3])
    np.testing.assert_array_equal(references[:count], reference_poses(plans[:count], 0.1, START_US, ego[:3]))
    np.testing.assert_array_equal(simulate(ego, references)[:count], simulate(ego, references[:count]))


def test_prepared_plans_serve_any_scene() -> None:
    plans = knots_of(8, 11, 8, 0.5)
    prepared = prepare_plans(plans, 0.5)
    for time_us, heading in ((START_US, 0.3), (START_US + 500_071, 3.1), (7, -3.1)):
        ego = global_ego()
        ego[State.HEADING] = heading
        np.testing.assert_array_equal(drive(ego, time_us, prepared), drive(ego, time_us, prepare_plans(plans, 0.5)))


def test_a_proposal_at_a_time_gives_the_same_bits() -> None:
    """The kernels with a plain index, as a CUDA thread calls them, on whole arrays instead of blocks."""
    count = 21
    ego = global_ego()
    ego[State.VELOCITY_X] = 0.3  # some proposals stop
    plans = prepare_plans(knots_of(9, count, 8, 0.5) * np.linspace(0.0, 1.0, count)[:, None, None], 0.5)
    start = np.empty(kernels.START_SIZE)
    kernels.fill_start(ego, start)
    work = np.full((kernels.WORK_ROWS, kernels.WORK_STEPS, count), np.nan)
    states = np.full((kernels.STATE_ROWS, 41, count), np.nan)
    knots = np.ascontiguousarray(plans.knots.transpose(1, 2, 0, 3).reshape(3, 8, -1))
    for n in range(count):
        kernels.simulate_block(knots, n, sampling(plans, START_US), start, speed_factors(), work, n, states)
    lanes = drive(ego, START_US, plans)
    found = states[: kernels.CHANNELS].transpose(2, 1, 0)[:count]
    np.testing.assert_array_equal(plans.as_given(found), lanes)
    np.testing.assert_allclose(states[kernels.COS], np.cos(states[kernels.HEADING]), rtol=0, atol=3e-16)
    np.testing.assert_allclose(states[kernels.SIN], np.sin(states[kernels.HEADING]), rtol=0, atol=3e-16)


def test_far_turned_headings_are_wrapped() -> None:
    plans = random_plans(np.random.default_rng(10), 3)
    turned = plans.copy()
    turned[..., 2] += 2.0 * np.pi * 1e7
    np.testing.assert_allclose(simulate(moving(), turned), simulate(moving(), plans), atol=1e-5)


@pytest.mark.parametrize("size", [1e3, 1e10, 1e20, 1e100, 1e307])
def test_absurd_headings_are_headings(size: float) -> None:
    plans = knots_of(12, 40, 8, 0.5)
    plans[..., 2] = np.random.default_rng(13).uniform(-size, size, (40, 8))
    states = drive(global_ego(), START_US, prepare_plans(plans, 0.5))
    assert np.isfinite(states).all()
    assert (np.abs(states[..., State.STEERING_ANGLE]) <= np.pi / 3).all()


@pytest.mark.parametrize("size", [1e5, 1e10, 1e100, 1e150, 1e155, 1e200, 1e307])
def test_the_last_step_tells_whether_a_simulation_stayed_finite(size: float) -> None:
    """Scoring looks at no other."""
    plans = np.random.default_rng(14).normal(size=(60, 8, 3))
    plans[:20, :, :2] *= size / 10.0
    plans[20:40, 3, :2] *= size / 10.0
    plans[40:, -1, 0] *= size / 10.0
    finite = np.isfinite(drive(global_ego(), START_US, prepare_plans(plans, 0.5)))
    np.testing.assert_array_equal(finite[:, -1, : State.VELOCITY_X + 1].all(axis=1), finite.all(axis=(1, 2)))


def test_no_plans() -> None:
    assert drive(moving(), START_US, prepare_plans(np.empty((0, 8, 3)), 0.5)).shape == (0, 41, 11)
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

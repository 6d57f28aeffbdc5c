from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.geometry.lanes import ALIGNMENT, WIDTH
from navforge.simulation.interpolation import fill_knots
from navforge.simulation.plans import (
    check_plans,
    pose_times_us,
    prepare_plans,
    reference_poses,
    sample_times_us,
    sampling,
)
from tests.simulation.reference import interpolated

START = 315_971_925_959_748
HOME = np.zeros(3)


def test_times_are_truncated_not_rounded() -> None:
    seconds = [int((0.5 * (k + 1) + START * 1e-6) * 1e6) for k in range(8)]
    assert pose_times_us(8, 0.5, START).tolist() == [START, *seconds]
    assert len(sample_times_us(START)) == 41
    assert abs(int(sample_times_us(START)[-1]) - START - 4_000_000) <= 1


@pytest.mark.parametrize(
    ("count", "interval"), [(8, 0.5), (40, 0.1), (41, 0.1), (20, 0.2), (3, 1.7), (80, 0.05), (1, 4.0)]
)
def test_a_straight_plan_is_sampled_on_the_line(count: int, interval: float) -> None:
    t = interval * np.arange(1, count + 1)
    plan = np.stack([3.0 * t, 0.0 * t, 0.0 * t], axis=1)[None]
    reference = reference_poses(plan, interval, START, HOME)
    assert reference.shape == (1, 41, 3)
    np.testing.assert_allclose(reference[0, :, 0], 3.0 * np.minimum(np.arange(41) * 0.1, t[-1]), atol=1e-5)


def test_a_short_plan_holds_its_last_pose() -> None:
    reference = reference_poses(np.array([[[1.0, 2.0, 0.3]]]), 0.5, START, HOME)[0]
    np.testing.assert_allclose(reference[5:], np.tile([1.0, 2.0, 0.3], (36, 1)), atol=1e-5)


def test_headings_turn_the_short_way() -> None:
    plan = np.zeros((1, 8, 3))
    plan[0, :, 2] = [3.0, -3.0, 3.0, -3.0, 3.0, 3.0, 3.0, 3.0]
    heading = reference_poses(plan, 0.5, START, np.array([0.0, 0.0, 3.0]))[0, :, 2]
    assert (np.abs(np.diff(np.unwrap(heading))) < 0.7).all()


def test_poses_are_placed_at_the_ego() -> None:
    plan = np.tile([10.0, 0.0, 0.0], (1, 8, 1))
    reference = reference_poses(plan, 0.5, START, np.array([100.0, 200.0, np.pi / 2]))[0]
    np.testing.assert_allclose(reference[-1], [100.0, 210.0, np.pi / 2], atol=1e-9)


def test_names_the_pose_that_is_not_finite() -> None:
    plans = np.zeros((5, 8, 3))
    plans[3, 6, 2] = np.nan
    plans[4, 0, 0] = np.inf
    with pytest.raises(DataError, match=r"plan 3 has a pose that is not finite: pose 6 .*; 2 of 5 plans"):
        reference_poses(plans, 0.5, START, HOME)


@pytest.mark.parametrize("shape", [(8, 3), (2, 0, 3), (2, 8, 2)])
def test_refuses_wrong_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="plans must have shape"):
        check_plans(np.zeros(shape), 0.5)


@pytest.mark.parametrize("interval", [0.0, -0.5, np.nan, np.inf])
def test_refuses_wrong_intervals(interval: float) -> None:
    with pytest.raises(DataError, match="interval"):
        check_plans(np.zeros((1, 8, 3)), interval)


INTERVALS = [(8, 0.5), (40, 0.1), (41, 0.1), (20, 0.2), (3, 1.7), (80, 0.05), (1, 4.0), (4000, 0.001), (7, 1 / 3)]


def devkit_times_us(count: int, interval_s: float, time_us: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of poses and samples by the devkit's arithmetic: Python floats and `int`, one by one."""
    poses = [time_us]
    for seconds in (np.arange(0.0, count * interval_s, interval_s)[:count] + interval_s).tolist():
        poses.append(int((seconds + time_us * 1e-6) * 1e6))
    samples = [int((s + time_us * 1e-6) * 1e6) for s in np.arange(0.0, 40 * 0.1 + 0.1, 0.1)[:41].tolist()]
    return np.array(poses), np.array(samples)


@pytest.mark.parametrize(("count", "interval"), INTERVALS)
def test_times_are_the_devkits(count: int, interval: float) -> None:
    rng = np.random.default_rng(0)
    for time_us in [START, 0, *rng.integers(0, 2_000_000_000_000_000, 20).tolist()]:
        poses, samples = devkit_times_us(count, interval, time_us)
        np.testing.assert_array_equal(pose_times_us(count, interval, time_us), poses)
        np.testing.assert_array_equal(sample_times_us(time_us), samples)
        at = np.clip(samples, poses[0], poses[-1])
        upper = np.clip(np.searchsorted(poses, at), 1, count)
        found = sampling(prepare_plans(np.zeros((1, count, 3)), interval), time_us)
        np.testing.assert_array_equal(found.upper, upper)
        np.testing.assert_array_equal(found.span_us, poses[upper] - poses[upper - 1])
        np.testing.assert_array_equal(found.offset_us, at - poses[upper - 1])


@pytest.mark.parametrize(("count", "interval"), INTERVALS[:5])
def test_agrees_with_the_plain_reference(count: int, interval: float) -> None:
    rng = np.random.default_rng(1)
    plans = np.cumsum(rng.normal(0.0, 1.0, (13, count, 3)), axis=1)
    origin = np.array([6.1e5, 4.8e6, -2.9])
    found = reference_poses(plans, interval, START, origin)
    for plan, reference in zip(plans, found, strict=True):
        poses, samples = devkit_times_us(count, interval, START)
        expected = interpolated(plan, poses, np.clip(samples, poses[0], poses[-1]), origin)
        np.testing.assert_array_equal(reference[:, :2], expected[:, :2])
        turn = reference[:, 2] - expected[:, 2]
        np.testing.assert_allclose(np.arctan2(np.sin(turn), np.cos(turn)), 0.0, atol=1e-13)
    assert (found[..., 2] >= -np.pi).all() and (found[..., 2] < np.pi).all()


def test_knots_are_unwrapped_and_padded() -> None:
    plans = np.random.default_rng(2).uniform(-9.0, 9.0, (11, 8, 3))
    plans[0, :3, 2] = [np.pi, 0.0, -np.pi]
    prepared = prepare_plans(plans, 0.5)
    assert (len(prepared), prepared.knots.shape) == (11, (2, 3, 8, WIDTH))
    assert prepared.knots.ctypes.data % ALIGNMENT == 0
    knots = prepared.knots.transpose(1, 2, 0, 3).reshape(3, 8, 16)
    headings = np.unwrap(np.concatenate([np.zeros((11, 1)), plans[..., 2]], axis=1), axis=1)[:, 1:]
    assert sorted(prepared.order) == list(range(11))
    np.testing.assert_allclose(knots[2, :, :11].T, headings[prepared.order], atol=1e-14)
    np.testing.assert_array_equal(knots[:2, :, :11], plans[prepared.order, :, :2].transpose(2, 1, 0))
    np.testing.assert_array_equal(knots[..., 11:], np.repeat(knots[..., 10:11], 5, axis=2))


def test_plans_that_end_near_each_other_share_a_block() -> None:
    rng = np.random.default_rng(3)
    corners = np.array([[0.0, 0.0], [30.0, -20.0], [30.0, 20.0], [-8.0, 5.0]])
    plans = np.zeros((32, 8, 3))
    owner = rng.permutation(np.repeat(np.arange(4), 8))
    plans[..., :2] = (corners[owner] + rng.uniform(0.1, 0.9, (32, 2)))[:, None]
    prepared = prepare_plans(plans, 0.5)
    blocks = owner[prepared.order].reshape(4, 8)
    assert (blocks == blocks[:, :1]).all()
    np.testing.assert_array_equal(prepared.as_given(prepared.order), np.arange(32))
    few = prepare_plans(plans[:8], 0.5)
    np.testing.assert_array_equal(few.order, np.arange(8))


def test_read_only_and_float32_plans_compile_nothing_new() -> None:
    plans = np.zeros((3, 8, 3), np.float32)
    plans.setflags(write=False)
    prepare_plans(np.zeros((3, 8, 3)), 0.5)
    before = len(fill_knots.signatures)
    prepare_plans(plans, 0.5)
    assert len(fill_knots.signatures) == before

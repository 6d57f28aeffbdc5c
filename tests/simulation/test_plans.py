from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.simulation.plans import check_plans, pose_times_us, reference_poses, sample_times_us

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

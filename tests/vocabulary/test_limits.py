"""Limits of hand-made trajectories."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.vocabulary.limits import Motion, limits_of
from tests.vocabulary.moves import arc, braking, straight


def test_limits_of_a_vocabulary_made_by_hand() -> None:
    entries = [straight(10.0), straight(0.0), straight(0.1), straight(-0.5), arc(8.0, 0.25), arc(6.0, -0.3)]
    entries += [braking(6.0, by=3.0), straight(4.0)]
    found = limits_of(Motion(np.stack(entries)))
    assert found.trajectories == 8
    assert found.top_speed_mps == pytest.approx(10.0, abs=1e-4)
    assert found.stationary_share == 2 / 8
    assert found.reversing_share == 1 / 8
    assert found.straight_share == 6 / 8
    assert found.farthest_m == pytest.approx(40.0)
    assert found.left_m == pytest.approx(32.0 * (1 - np.cos(1.0)), abs=1e-4)
    assert found.right_m == pytest.approx(20.0 * (1 - np.cos(1.2)), abs=1e-4)
    assert found.left_turn_rad == pytest.approx(1.0, abs=1e-5)
    assert found.right_turn_rad == pytest.approx(1.2, abs=1e-5)
    assert found.yaw_rate_radps == pytest.approx(0.3, abs=1e-4)
    assert found.braking_mps2 == pytest.approx(3.0, abs=0.01)
    assert found.acceleration_mps2 == pytest.approx(0.0, abs=1e-4)
    assert found.slip_rad == pytest.approx(0.015, abs=1e-3), "half a step's turn"


def test_a_car_that_goes_nowhere_by_a_loop_stands_but_its_speed_counts() -> None:
    there_and_back = straight(1.0)
    there_and_back[20:, 0] = there_and_back[19::-1, 0]
    motion = Motion(there_and_back[None])
    assert motion.stationary.all() and not motion.reversing.any()
    assert motion.mean_speed[0] == pytest.approx(0.975, abs=1e-4)


def test_reversing_counts_along_the_own_heading() -> None:
    """A car that turned round and drives forward has negative x, but does not reverse."""
    turned = straight(-3.0)
    turned[:, 2] = np.pi
    motion = Motion(np.stack([turned, straight(-3.0)]))
    assert motion.reversing.tolist() == [False, True]
    assert motion.slip.max() < 1e-5


def test_a_heading_across_the_path_is_slip() -> None:
    sideways = straight(5.0)
    sideways[:, 2] = 0.2
    assert limits_of(Motion(sideways[None])).slip_rad == pytest.approx(0.2, abs=1e-6)


def test_full_turns_are_counted() -> None:
    wrapped = arc(5.0, 1.2)
    wrapped[:, 2] = (wrapped[:, 2] + np.pi) % (2 * np.pi) - np.pi
    motion = Motion(wrapped[None])
    assert motion.turn[0] == pytest.approx(4.8, abs=1e-4)
    assert np.abs(motion.yaw_rate).max() == pytest.approx(1.2, abs=1e-4)


def test_the_public_vocabulary_has_the_limits_others_found(navsim_files) -> None:  # type: ignore[no-untyped-def]
    found = limits_of(Motion(np.load(navsim_files / "vocabulary_8192.npy")))
    assert found.top_speed_mps == pytest.approx(14.8, abs=0.05)
    assert round(8192 * found.reversing_share) == 12
    assert 1180 < 8192 * found.stationary_share < 1200


def test_a_trajectory_that_ends_within_half_a_metre_stands() -> None:
    """4 s at a constant speed."""
    assert Motion(np.stack([straight(0.124), straight(0.126)])).stationary.tolist() == [True, False]

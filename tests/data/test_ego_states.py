from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.core.errors import DataError
from navforge.data import ego_states as ego
from navforge.geometry.columns import State


def past_states(count=4):
    states = np.zeros((count, 11))
    states[:, State.X] = np.arange(count) * 2.0
    states[:, State.HEADING] = [3.1, -3.1, -3.0, -2.9][:count]
    return states


def test_footprint_of_the_pacifica():
    box = ego.boxes(np.array([10.0, 5.0, 0.0]))
    assert box.bounds == pytest.approx((10 + 1.461 - 2.588, 5 - 1.1485, 10 + 1.461 + 2.588, 5 + 1.1485))
    assert shapely.area(ego.boxes(np.array([[0.0, 0.0, 0.7], [1.0, 2.0, -3.0]]))) == pytest.approx(5.176 * 2.297)


def test_corners_go_front_left_rear_left_rear_right_front_right():
    corners = ego.box_corners(np.array([0.0, 0.0, np.pi / 2]), 4.0, 2.0)
    np.testing.assert_allclose(corners, [[-1, 2], [-1, -2], [1, -2], [1, 2]], atol=1e-12)


@pytest.mark.parametrize(("jitter_us", "points"), [(-1, 14), (0, 14), (1, 15), (50_000, 15)])
def test_history_has_14_or_15_points_by_the_microseconds(jitter_us, points):
    times = np.array([0, 500_000, 1_000_000, 1_500_000 + jitter_us])
    assert ego.comfort_history(past_states(), times).shape == (points, 11)


def test_history_is_linear_in_time_and_turns_the_short_way():
    history = ego.comfort_history(past_states(), np.array([0, 500_000, 1_000_000, 1_500_000]))
    np.testing.assert_allclose(history[:, State.X], 0.4 * np.arange(14), atol=1e-12)
    assert np.abs(history[:5, State.HEADING]).min() > 3.09


def test_history_uses_the_last_four_frames():
    more = np.concatenate([np.full((2, 11), 99.0), past_states()])
    times = 500_000 * np.arange(6)
    np.testing.assert_array_equal(ego.comfort_history(more, times), ego.comfort_history(past_states(), times[2:]))


def test_too_little_history_and_unordered_times_are_refused():
    with pytest.raises(DataError, match="4 frames"):
        ego.comfort_history(past_states(3), np.arange(3))
    with pytest.raises(DataError, match="do not ascend"):
        ego.comfort_history(past_states(), np.array([0, 5, 5, 9]))

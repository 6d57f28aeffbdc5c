from __future__ import annotations

import numpy as np
import pytest
import shapely
from scipy.interpolate import interp1d

from navforge.core.errors import DataError
from navforge.pdm_closed.route_path import RoutePath

CORNER = RoutePath(
    np.array([[0, 0, 0], [10, 0, 0], [10, 0, np.pi / 2], [10, 10, np.pi / 2], [10, 20, np.pi / 2]], np.float64)
)


def test_progress_counts_repeated_points_once():
    assert CORNER.progress.tolist() == [0, 10, 10, 20, 30]
    assert CORNER.length == 30


def test_interpolation_agrees_with_scipy_and_joints_do_no_harm():
    reference = interp1d(CORNER.progress, CORNER.poses, axis=0)
    at = np.array([0.5, 5.0, 9.999, 10.0, 10.001, 25.0, 30.0])
    np.testing.assert_allclose(CORNER.interpolate(at), reference(at), rtol=0, atol=1e-12)


def test_distances_are_clipped_to_the_path():
    ends = CORNER.interpolate(np.array([-5.0, 100.0]))
    np.testing.assert_allclose(ends[:, :2], [[0, 0], [10, 20]], atol=1e-4)


def test_headings_turn_the_short_way_and_stay_in_range():
    path = RoutePath(np.array([[0, 0, 3.1], [10, 0, -3.1]], np.float64))
    heading = path.interpolate(np.array([5.0]))[0, 2]
    assert abs(heading) == pytest.approx(np.pi, abs=1e-9)


def test_shift_is_to_the_left_for_positive_offsets():
    shifted = CORNER.shifted(1.0).poses
    np.testing.assert_allclose(shifted[0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(shifted[3], [9, 10, np.pi / 2], atol=1e-12)


def test_between_takes_poses_or_cuts_exactly():
    assert list(CORNER.between(0.0, 20.0).coords) == [(0, 0), (10, 0), (10, 0), (10, 10)]
    assert CORNER.between(12.0, 15.0).equals_exact(shapely.LineString([(10, 2), (10, 5)]), 1e-12)
    assert CORNER.between(40.0, 50.0).geom_type == "Point"


def test_one_point_is_no_path():
    with pytest.raises(DataError, match="two points"):
        RoutePath(np.zeros((1, 3)))

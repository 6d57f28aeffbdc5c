"""Who follows a lane and who stands in reactive traffic, on the tiny map (`tests.maps.tiny_map`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from navforge.cache_builder.reactive import reactive_start
from navforge.geometry.columns import STATE_SIZE
from navforge.maps.map import Map, read_map
from navforge.maps.schema import Layer
from navforge.metric_cache.objects import FrameObjects, ObjectType
from navforge.metric_cache.reactive import ReactiveStart
from tests.maps.tiny_map import LOCATION, ORIGIN, box, tiny_features, write_map

MM = 1e-3


@pytest.fixture(scope="module")
def road_map(tmp_path_factory: pytest.TempPathFactory) -> Map:
    root = tmp_path_factory.mktemp("maps")
    write_map(root, tiny_features())
    return read_map(root, LOCATION)


Car = tuple[str, float, float, float, float]
"""Token, x, y, heading, speed."""


def start(road_map: Map, cars: list[Car], *, ego_x: float = 5.0) -> tuple[ReactiveStart, tuple[int, ...]]:
    pose = np.array([[ORIGIN[0] + x, ORIGIN[1] + y, heading] for _, x, y, heading, _ in cars])
    speed = np.array([v for *_, v in cars])
    current = FrameObjects(
        token=np.array([token for token, *_ in cars]),
        type=np.full(len(cars), ObjectType.VEHICLE, np.uint8),
        extent=np.tile([4.5, 2.0], (len(cars), 1)),
        pose=pose,
        velocity=np.column_stack([speed * np.cos(pose[:, 2]), speed * np.sin(pose[:, 2])]),
    )
    state = np.zeros(STATE_SIZE)
    state[:5] = ORIGIN[0] + ego_x - 1.461, ORIGIN[1] + 1.5, 0.0, 3.0, 4.0
    center = np.array([ORIGIN[0] + ego_x, ORIGIN[1] + 1.5, 0.0])
    return reactive_start(road_map, current, state, center)


def names(found: ReactiveStart, rows: np.ndarray) -> list[str]:
    return found.current.token[rows].tolist()


def test_a_car_is_snapped_to_its_lane(road_map: Map) -> None:
    found, lanes = start(road_map, [("a", 25.0, 2.0, 0.1, 6.0)])
    assert lanes == (31,)
    np.testing.assert_allclose(found.start_pose, [[ORIGIN[0] + 25.0, ORIGIN[1] + 1.5, 0.0]], atol=MM)
    np.testing.assert_allclose([found.progress_m[0], found.speed_mps[0]], [25.0, 6.0], atol=MM)
    np.testing.assert_allclose(found.path[:, 0] - ORIGIN[0], [0.0, 20.0, 50.0], atol=MM)
    assert found.target_speed_mps.tolist() == [10.0]
    assert not len(found.standing)


def test_at_the_end_of_its_lane_a_car_has_the_heading_of_the_last_half_metre(road_map: Map) -> None:
    found, _ = start(road_map, [("a", 49.999999, 1.5, 0.0, 0.0)])
    np.testing.assert_allclose(found.start_pose[0, 2], 0.0, atol=MM)


def test_on_an_intersection_the_connector_is_followed(road_map: Map) -> None:
    found, lanes = start(road_map, [("a", 55.0, -1.0, 0.0, 6.0), ("b", 55.0, 1.0, 0.0, 6.0)])
    assert lanes == (12, 11)
    assert found.lane.tolist() == [0, 1]


def test_who_meets_the_ego_or_an_earlier_car_is_left_out(road_map: Map) -> None:
    cars = [("ego's", 8.0, 1.5, 0.0, 1.0), ("first", 25.0, 1.5, 0.0, 1.0), ("second", 28.0, 2.0, 0.0, 1.0)]
    found, _ = start(road_map, cars)
    assert names(found, found.follower) == ["first"]
    assert not len(found.standing)
    found, _ = start(road_map, [cars[0], cars[2], cars[1]])
    assert names(found, found.follower) == ["second"]
    found, _ = start(road_map, cars, ego_x=45.0)
    assert names(found, found.follower) == ["ego's", "first"]


def test_off_the_road_the_stationary_stand_and_the_moving_vanish(road_map: Map) -> None:
    cars = [("parked", 25.0, 9.0, 0.0, 0.099), ("moving", 35.0, 9.0, 0.0, 0.101), ("on", 45.0, 6.0, 0.0, 0.0)]
    found, lanes = start(road_map, cars)
    assert names(found, found.standing) == ["parked"], "`on` is on the intersection, where it has no connector"
    assert not len(found.follower)
    assert lanes == ()
    assert found.path.shape == (0, 3)


def test_too_far_from_the_baseline_a_car_stands_whatever_its_speed(tmp_path: Path) -> None:
    features = tiny_features()
    lane, _, columns = features[Layer.LANE][0]
    features[Layer.LANE][0] = (lane, box(0, 0, 50, 9), columns)
    write_map(tmp_path, features)
    cars = [("near", 25.0, 4.49, 0.0, 8.0), ("far", 35.0, 4.51, 0.0, 8.0)]
    found, _ = start(read_map(tmp_path, LOCATION), cars)
    assert names(found, found.follower) == ["near"]
    assert names(found, found.standing) == ["far"]


def test_a_lane_without_speed_limit_takes_that_of_the_car_before(tmp_path: Path) -> None:
    """As in the devkit, where the limit of one vehicle's lane becomes the default of those after it."""
    features = tiny_features()
    lane, polygon, columns = features[Layer.LANE][0]
    features[Layer.LANE][0] = (lane, polygon, {**columns, "speed_limit_mps": 7.0})
    write_map(tmp_path, features)
    slow = read_map(tmp_path, LOCATION)
    without, limited = ("w", 25.0, -1.5, 0.0, 1.0), ("l", 25.0, 1.5, 0.0, 1.0)
    assert start(slow, [without, limited])[0].target_speed_mps.tolist() == [10.0, 7.0]
    assert start(slow, [limited, without])[0].target_speed_mps.tolist() == [7.0, 7.0]


def test_unknown_speed_is_the_egos_and_far_cars_are_not_kept(road_map: Map) -> None:
    found, _ = start(road_map, [("a", 25.0, 1.5, 0.0, np.nan)])
    assert found.speed_mps.tolist() == [5.0]
    found, lanes = start(road_map, [("a", 25.0, 1.5, 0.0, 1.0), ("b", 100.0, 1.5, 0.0, 1.0)], ego_x=-90.0)
    assert names(found, found.follower) == []
    assert lanes == ()


def test_a_track_that_occurs_twice_is_taken_once(road_map: Map) -> None:
    found, _ = start(road_map, [("a", 25.0, 1.5, 0.0, 1.0), ("a", 40.0, 1.5, 0.0, 1.0)])
    np.testing.assert_allclose(found.progress_m, [25.0], atol=MM)

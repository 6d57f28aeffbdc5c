from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.data import ego_states as ego
from navforge.metric_cache.objects import ObjectType
from navforge.pdm_closed.forecast import forecast
from navforge.pdm_closed.idm import Leader, Motion, target_speeds
from navforge.pdm_closed.proposals import Proposals
from navforge.pdm_closed.route_path import RoutePath
from tests.pdm_closed.test_forecast import NO_LIGHTS, lights, objects

ROAD = RoutePath(np.column_stack([np.arange(0.0, 201.0, 5.0), np.zeros(41), np.zeros(41)]))
POSE = np.array([10.0, 0.4, 0.05])


def proposals(found, red=NO_LIGHTS, speed=5.0, limit=10.0):
    around = forecast(found, ego.center(POSE), ego.boxes(POSE), red)
    return Proposals(ROAD, around, POSE, speed, target_speeds(limit))


def test_every_proposal_starts_at_the_projection_onto_its_path():
    made = proposals(objects())
    np.testing.assert_allclose(made.poses[0:5, 0], np.tile([10, 0, 0], (5, 1)), atol=1e-9)
    np.testing.assert_allclose(made.poses[5:10, 0], np.tile([10, -1, 0], (5, 1)), atol=1e-9)
    np.testing.assert_allclose(made.poses[10:15, 0], np.tile([10, 1, 0], (5, 1)), atol=1e-9)


def test_free_driving_approaches_each_target_speed_and_stays_on_the_path():
    made = proposals(objects())
    poses = made.unroll()
    assert poses.shape == (15, 41, 3)
    speeds = made.motion[:5, 40, Motion.SPEED]
    assert (np.diff(speeds) > 0).all()
    assert speeds[4] > 8.0
    assert speeds[0] == pytest.approx(2.0, abs=0.5)
    np.testing.assert_allclose(poses[:5, :, 1], 0.0, atol=1e-9)
    np.testing.assert_allclose(made.leader[0, 2], [ROAD.length, 0.0, 5.176 / 2])


def test_nothing_is_known_of_leaders_before_the_second_step():
    made = proposals(objects())
    made.unroll()
    assert (made.leader[:, 1] == 0).all()
    assert (made.motion[:, 1, Motion.SPEED] == 5.0 - 0.3).all()


def test_parked_car_ahead_stops_the_ego_before_it():
    made = proposals(objects(("wall", ObjectType.VEHICLE, 40.0, 0.0, 0.0, 0.0, 0.0)))
    made.unroll()
    poses = made.complete(4)
    assert poses[-1, 0] + 1.461 + 2.588 < 38.0
    assert made.leader[4, 2, Leader.PROGRESS] == pytest.approx(10 + 4.7 * 0.1 - 0.0 + (38 - 10 - 0.5 - 4.049), abs=0.6)


def test_objects_beside_the_corridor_do_not_matter():
    free, beside = proposals(objects()), proposals(objects(("b", ObjectType.VEHICLE, 40.0, 8.0, 0.0, 0.0, 0.0)))
    np.testing.assert_array_equal(free.unroll(), beside.unroll())


def test_moving_leader_counts_with_its_speed_along_the_ego():
    made = proposals(objects(("lead", ObjectType.VEHICLE, 30.0, 0.0, 0.0, 6.0, 0.0)))
    made.unroll()
    np.testing.assert_allclose(made.leader[:5, 2, Leader.SPEED], 6.0, atol=1e-12)


def test_red_light_ahead_stops_the_ego():
    made = proposals(objects(), lights(shapely.box(35, -2, 50, 2)))
    made.unroll()
    assert made.poses[4, 40, 0] + 4.049 < 35.0
    assert (made.leader[0, 2:, Leader.SPEED] == 0).all()


def test_completing_extends_only_the_chosen_proposal():
    made = proposals(objects())
    made.unroll()
    poses = made.complete(7)
    assert (np.diff(poses[:, 0]) > 0).all()
    assert (made.poses[8, 41:] == 0).all()

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely

from navforge.data import ego_states as ego
from navforge.metric_cache.objects import ObjectType
from navforge.pdm_closed.forecast import Forecast, forecast
from navforge.pdm_closed.idm import Leader
from navforge.pdm_closed.leaders import Corridor, Leaders
from navforge.pdm_closed.route_path import RoutePath
from tests.pdm_closed.test_forecast import NO_LIGHTS, lights, objects

ROAD = RoutePath(np.column_stack([np.arange(0.0, 201.0, 5.0), np.zeros(41), np.zeros(41)]))
POSE = np.array([-50.0, 0.0, 0.0])


def seen(found, red=NO_LIGHTS) -> Forecast:
    return forecast(found, ego.center(POSE), ego.boxes(POSE), red)


def poses_at(progress, path=ROAD):
    return path.interpolate(np.asarray(progress, np.float64))


def plain_leaders(around: Forecast, sample: int, corridor: Corridor, poses, progress):
    """Every distance computed, one after the other."""
    everything = np.arange(len(around.collided))
    polygons = around.polygons(np.full_like(everything, sample), everything)
    found = shapely.STRtree(polygons, 10).query(corridor.area, predicate="intersects")
    found = [i for i in found.tolist() if not around.collided[i]]
    row = np.zeros(3)
    rows = []
    for pose, own in zip(poses, progress, strict=True):
        ahead = [i for i in found if corridor.path.project(shapely.centroid(polygons[i])) > own]
        if ahead:
            distance = [float(shapely.distance(ego.boxes(pose), polygons[i])) for i in ahead]
            nearest = ahead[distance.index(min(distance))]
            row[Leader.PROGRESS] = own + min(distance)
            if nearest < len(around.drift):
                turn = around.objects.pose[nearest, 2] - pose[2]
                speed = 0.0
                if around.objects.type[nearest] <= ObjectType.BICYCLE:
                    speed = math.hypot(*around.objects.velocity[nearest])
                row[Leader.SPEED] = speed * math.cos(math.atan2(math.sin(turn), math.cos(turn)))
        else:
            row[Leader.PROGRESS] = corridor.path.line.length
            row[Leader.REAR] = 5.176 / 2
        rows.append(row.copy())
    return np.array(rows)


@pytest.mark.parametrize("seed", range(12))
def test_leaders_are_those_of_all_distances_bit_by_bit(seed):
    rng = np.random.default_rng(seed)
    kinds = list(ObjectType)
    rows = [
        (f"o{i}", kinds[i % len(kinds)], rng.uniform(0, 90), rng.uniform(-6, 6), *rng.uniform(-3, 3, 3))
        for i in range(rng.integers(1, 40))
    ]
    red = lights(shapely.box(40, -3, 60, 3), shapely.Polygon([(70, -20), (71, 20), (90, 20), (72, 0)]))
    around = seen(objects(*rows), red if seed % 2 else NO_LIGHTS)
    paths = [ROAD, ROAD.shifted(-1.0)]
    corridors = [Corridor.along(path, 5.0, 85.0) for path in paths]
    leaders = Leaders(around, range(2, 5), corridors)
    progress = np.concatenate([np.sort(rng.uniform(0, 95, 6)), rng.uniform(0, 95, 6)])
    path = np.repeat([0, 1], 6)
    poses = np.concatenate([poses_at(progress[:6], paths[0]), poses_at(progress[6:], paths[1])])
    poses[:, 2] += rng.uniform(-0.2, 0.2, 12)
    for sample in range(2, 5):
        found = leaders.find(sample, path, poses, progress)
        for number in range(2):
            mine = path == number
            expected = plain_leaders(around, sample, corridors[number], poses[mine], progress[mine])
            np.testing.assert_array_equal(found[mine], expected)


def test_of_equally_near_obstacles_the_first_of_the_tree_leads():
    rows = [
        ("left", ObjectType.VEHICLE, 40.0, 1.5, 0.0, 1.0, 0.0),
        ("right", ObjectType.VEHICLE, 40.0, -1.5, 0, 2.0, 0),
    ]
    for order in (rows, rows[::-1]):
        around = seen(objects(*order))
        corridor = Corridor.along(ROAD, 0.0, 100.0)
        poses, progress = poses_at([10.0]), np.array([10.0])
        found = Leaders(around, range(0, 1), [corridor]).find(0, np.zeros(1, np.int64), poses, progress)
        np.testing.assert_array_equal(found, plain_leaders(around, 0, corridor, poses, progress))


def test_the_shared_leader_row_leaks_from_one_proposal_to_the_next():
    """Odd proposals have passed the obstacles; what they set stays for the even ones after them, and vice versa."""
    around = seen(objects(("lead", ObjectType.VEHICLE, 22.0, 0.0, 0.0, 3.0, 0.0)))
    progress = np.array([5.0, 40.0, 5.0, 40.0, 5.0])
    leaders = Leaders(around, range(1, 2), [Corridor.along(ROAD, 0.0, 100.0)])
    found = leaders.find(1, np.zeros(5, np.int64), poses_at(progress), progress)
    free = [False, True, False, True, False]
    assert (found[:, Leader.PROGRESS] == ROAD.length).tolist() == free
    np.testing.assert_allclose(found[:, Leader.REAR], [0, 2.588, 2.588, 2.588, 2.588])
    np.testing.assert_allclose(found[:, Leader.SPEED], [3.0] * 5, atol=1e-12)


def test_each_path_starts_with_an_empty_row():
    around = seen(objects(("lead", ObjectType.VEHICLE, 22.0, 0.0, 0.0, 3.0, 0.0)), lights(shapely.box(60, -2, 70, 2)))
    leaders = Leaders(around, range(0, 1), [Corridor.along(ROAD, 0.0, 100.0)] * 2)
    progress = np.array([5.0, 40.0, 40.0])
    found = leaders.find(0, np.array([0, 0, 1]), poses_at(progress), progress)
    assert found[1, Leader.SPEED] == pytest.approx(3.0)
    assert found[2, Leader.SPEED] == 0.0

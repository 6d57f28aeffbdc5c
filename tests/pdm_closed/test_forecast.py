from __future__ import annotations

import numpy as np
import pytest
import shapely

from navforge.core.errors import DataError
from navforge.data import ego_states as ego
from navforge.metric_cache.objects import FrameObjects, ObjectType
from navforge.pdm_closed.forecast import forecast

POSE = np.array([0.0, 0.0, 0.0])
NO_LIGHTS = np.empty(0, dtype=object)
EVERYWHERE = np.array([shapely.box(-100, -100, 100, 100)], dtype=object)


def objects(*rows):
    """Rows (token, type, x, y, heading, vx, vy)."""
    return FrameObjects(
        token=np.array([row[0] for row in rows], dtype=np.str_),
        type=np.array([row[1] for row in rows], np.uint8),
        extent=np.tile([4.0, 2.0], (len(rows), 1)),
        pose=np.array([row[2:5] for row in rows], np.float64).reshape(-1, 3),
        velocity=np.array([row[5:7] for row in rows], np.float64).reshape(-1, 2),
    )


def around(found, lights=NO_LIGHTS):
    return forecast(found, ego.center(POSE), ego.boxes(POSE), lights)


def lights(*polygons):
    array = np.empty(len(polygons), dtype=object)
    array[:] = polygons
    return array


def test_objects_move_along_their_heading_in_steps_of_two():
    seen = around(objects(("a", ObjectType.VEHICLE, 20, 0, 0.0, 3.0, 4.0)))
    tracks = seen.tracks(51)
    np.testing.assert_allclose(tracks.pose[0, [0, 1, 2, 3, 50], 0], [20, 20, 21, 21, 45], atol=1e-12)
    np.testing.assert_allclose(tracks.pose[0, :, 1], 0, atol=1e-12)
    np.testing.assert_allclose(tracks.velocity[0], np.tile([3.0, 4.0], (51, 1)))
    samples = np.array([seen.at(step) for step in range(51)])
    centroids = shapely.centroid(seen.polygons(samples, np.zeros(51, np.int64)))
    np.testing.assert_allclose(shapely.get_x(centroids), tracks.pose[0, :, 0], atol=1e-9)


def test_a_reversing_vehicle_moves_backwards():
    tracks = around(objects(("a", ObjectType.VEHICLE, 20, 0, 0.0, -5.0, 0.0))).tracks(41)
    assert tracks.pose[0, 40, 0] == np.float64(0.0) or np.isclose(tracks.pose[0, 40, 0], 0.0)


def test_only_the_nearest_of_each_class_are_seen():
    rows = [(f"p{i}", ObjectType.PEDESTRIAN, 10 + i, 0, 0, 0, 0) for i in range(40)]
    rows += [(f"c{i}", ObjectType.TRAFFIC_CONE, 12 + i, 5, 0, 0, 0) for i in range(60)]
    rows += [(f"b{i}", ObjectType.BICYCLE, 10 + i, -5, 0, 0, 0) for i in range(15)]
    for token, metres in (("far", 100.1), ("near", 99.9)):
        rows.append((token, ObjectType.VEHICLE, ego.center(POSE)[0] + metres, 0, 0, 0, 0))
    seen = around(objects(*rows))
    expected = [f"c{i}" for i in range(50)] + ["near"] + [f"p{i}" for i in range(25)] + [f"b{i}" for i in range(10)]
    assert list(seen.objects.token) == expected


def test_what_touches_the_ego_now_is_ignored():
    seen = around(objects(("in", ObjectType.VEHICLE, 2, 0, 0, 0, 0), ("out", ObjectType.VEHICLE, 20, 0, 0, 0, 0)))
    assert seen.collided.tolist() == [True, False]
    assert list(seen.tracks(41).token) == ["out"]
    assert [seen.objects.token[i] for i in seen.meeting([5], EVERYWHERE).obstacle] == ["out"]


def test_a_red_light_is_ignored_only_where_the_ego_stands_in_it_entirely():
    seen = around(objects(), lights(shapely.box(-10, -5, 30, 5), shapely.box(2, -5, 30, 5), shapely.box(50, 0, 60, 5)))
    assert seen.collided.tolist() == [True, False, False]


def test_no_objects_and_no_lights():
    seen = around(objects())
    assert len(seen.collided) == 0
    assert len(seen.meeting(range(26), EVERYWHERE).obstacle) == 0
    assert seen.tracks(41).pose.shape == (0, 41, 3)


def test_a_velocity_that_is_not_finite_is_refused_where_it_counts():
    with pytest.raises(DataError, match="velocity of track a"):
        around(objects(("a", ObjectType.VEHICLE, 20, 0, 0.0, np.nan, 0.0)))
    assert len(around(objects(("a", ObjectType.VEHICLE, 120, 0, 0.0, np.nan, 0.0))).drift) == 0


def test_what_meets_an_area_is_what_a_tree_of_the_polygons_finds_in_its_order():
    rng = np.random.default_rng(0)
    rows = [(f"v{i}", ObjectType.VEHICLE, *rng.uniform(-60, 60, 2), *rng.uniform(-3, 3, 3)) for i in range(45)]
    rows += [(f"c{i}", ObjectType.BARRIER, *rng.uniform(-60, 60, 2), *rng.uniform(-3, 3, 3)) for i in range(45)]
    red = lights(shapely.box(10, -30, 50, 4), shapely.Polygon([(-40, 0), (0, -9), (-20, 30)]))
    seen = around(objects(*rows), red)
    areas = np.array([shapely.box(-30, -5, 60, 20), shapely.Point(10, 10).buffer(25)], dtype=object)
    found = seen.meeting(range(3, 7), areas)
    everything = np.arange(len(seen.collided))
    at = 0
    for sample in range(3, 7):
        polygons = seen.polygons(np.full_like(everything, sample), everything)
        tree = shapely.STRtree(polygons, 10)
        for number, area in enumerate(areas):
            expected = tree.query(area, predicate="intersects")
            expected = expected[~seen.collided[expected]]
            part = slice(at, at + len(expected))
            assert found.obstacle[part].tolist() == expected.tolist()
            assert (found.sample[part] == sample).all() and (found.area[part] == number).all()
            assert shapely.equals_exact(found.polygon[part], polygons[expected]).all()
            at += len(expected)
    assert at == len(found.obstacle) > 40

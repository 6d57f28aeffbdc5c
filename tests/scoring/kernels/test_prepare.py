from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.geometry.se2 import points_to_local
from navforge.geometry.vehicle import REAR_AXLE_TO_CENTER_M
from navforge.metric_cache.scene import MapLayer
from navforge.scoring.arrays import WINDOW_STEPS, Area
from navforge.scoring.prepare.areas import find_members
from navforge.scoring.prepare.polygons import prepare_polygons
from navforge.scoring.prepare.traffic import prepare_traffic
from tests.scoring.scenes import random_scene

SEEDS = range(8)


def scene_of(seed):
    return random_scene(np.random.default_rng(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_polygons_are_the_global_ones_in_the_frame_of_the_ego(seed):
    scene = scene_of(seed)
    polygons, origin = scene.polygons, scene.ego_state[:3]
    polygons.xy.flags.writeable = False
    prepared = prepare_polygons(polygons.xy, polygons.ring_start, polygons.polygon_start, origin)
    np.testing.assert_array_equal(prepared.xy, points_to_local(origin, polygons.xy))
    for p, bounds in enumerate(prepared.bounds):
        first, last = polygons.ring_start[polygons.polygon_start[p : p + 2]]
        own = prepared.xy[first:last]
        assert bounds.tolist() == [*own.min(axis=0), *own.max(axis=0)]


def test_a_polygon_without_vertices_is_named():
    with pytest.raises(DataError, match="polygon 1 has no vertices"):
        prepare_polygons(np.zeros((4, 2)), np.array([0, 4, 4]), np.array([0, 1, 2]), np.zeros(3))


@pytest.mark.parametrize("seed", SEEDS)
def test_members_of_each_class(seed):
    polygons = scene_of(seed).polygons
    members, start = find_members(polygons)
    lane = np.isin(polygons.layer, [MapLayer.LANE, MapLayer.LANE_CONNECTOR])
    expected = {
        Area.DRIVABLE: np.isin(polygons.layer, [MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA]),
        Area.ON_ROUTE: lane & polygons.on_route,
        Area.INTERSECTION: polygons.layer == MapLayer.INTERSECTION,
        Area.LANE: lane,
    }
    for area, chosen in expected.items():
        assert members[start[area] : start[area + 1]].tolist() == np.flatnonzero(chosen).tolist()
    assert start[-1] == len(members)


@pytest.mark.parametrize("drop_overlapping", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_traffic_is_the_tracks_in_the_frame_of_the_ego_nearest_first(seed, drop_overlapping):
    scene = scene_of(seed)
    objects, origin = scene.objects_v2, scene.ego_state[:3]
    traffic = prepare_traffic(objects, origin, drop_overlapping=drop_overlapping)
    rows = traffic.object
    overlapping = set(np.flatnonzero(objects.valid.any(axis=1)).tolist()) - set(rows.tolist())
    assert drop_overlapping or not overlapping
    xy = points_to_local(origin, objects.pose[..., :2])
    for o in overlapping:
        assert objects.valid[o, 0]
        reach = 0.5 * np.hypot(*objects.extent[o]) + 0.5 * np.hypot(5.176, 2.297)
        assert np.hypot(xy[o, 0, 0] - REAR_AXLE_TO_CENTER_M, xy[o, 0, 1]) <= reach
    first = objects.valid[rows].argmax(axis=1)
    distance = np.hypot(*xy[rows, first].T)
    assert (np.diff(distance) >= 0).all()
    valid = objects.valid[rows]
    expected = np.concatenate([xy[rows], np.zeros_like(xy[rows])], axis=-1)
    heading = objects.pose[rows, :, 2] - origin[2]
    expected[..., 2], expected[..., 3] = np.cos(heading), np.sin(heading)
    np.testing.assert_array_equal(traffic.track, np.where(valid[..., None], expected, 0.0))
    steps = np.arange(valid.shape[1])
    np.testing.assert_array_equal((traffic.present[:, None] >> steps) & 1, valid)
    check_bounds(traffic, valid)


def check_bounds(traffic, valid):
    """Bounds hold the boxes' corners by window and over all steps, tightly; those of nothing hold nothing."""
    for n, present in enumerate(valid):
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for w in range(traffic.windows.shape[2]):
            window = traffic.windows[n, :, w]
            steps = [t for t in range(w * WINDOW_STEPS, (w + 1) * WINDOW_STEPS) if t < len(present) and present[t]]
            if not steps:
                assert window.tolist() == [np.inf, np.inf, -np.inf, -np.inf]
                continue
            x, y, c, s = traffic.track[n, steps].T
            corners = [
                (x + i * c * traffic.half_length[n] - j * s * traffic.half_width[n],
                 y + i * s * traffic.half_length[n] + j * c * traffic.half_width[n])
                for i in (-1, 1) for j in (-1, 1)
            ]  # fmt: skip
            every = np.concatenate([np.stack(corner, axis=-1) for corner in corners])
            np.testing.assert_allclose(window, [*every.min(axis=0), *every.max(axis=0)], atol=2e-6)
            assert (window[:2] < every.min(axis=0)).all() and (window[2:] > every.max(axis=0)).all()
            low, high = np.minimum(low, window[:2]), np.maximum(high, window[2:])
        np.testing.assert_array_equal(traffic.bounds[n // 8, :, n % 8], [*low, *high])
    empty = [traffic.bounds[n // 8, :, n % 8] for n in range(len(valid), 8 * len(traffic.bounds))]
    assert all(bounds.tolist() == [np.inf, np.inf, -np.inf, -np.inf] for bounds in empty)

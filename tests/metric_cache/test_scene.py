from __future__ import annotations

import numpy as np

from navforge.metric_cache.scene import MapPolygons


def test_polygons_near_bounds_are_those_whose_bounds_meet():
    corners = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 0.0]])
    shifts = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [-3.0, 0.0], [0.0, -3.0], [-10.0, -10.0]])
    polygons = MapPolygons(
        xy=(shifts[:, None] + corners).reshape(-1, 2),
        ring_start=4 * np.arange(7),
        polygon_start=np.arange(7),
        layer=np.arange(6, dtype=np.uint8),
        fid=10 + np.arange(6),
        on_route=np.arange(6) % 2 == 0,
    )
    near = polygons.near(np.array([0.5, 0.5, 4.0, 1.0]))
    assert near.fid.tolist() == [10, 11]
    assert near.layer.tolist() == [0, 1] and near.on_route.tolist() == [True, False]
    np.testing.assert_array_equal(near.xy, polygons.xy[:8])
    assert near.ring_start.tolist() == [0, 4, 8] and near.polygon_start.tolist() == [0, 1, 2]
    assert len(polygons.near(np.array([100.0, 100.0, 101.0, 101.0])).fid) == 0

from __future__ import annotations

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.scene import MapPolygons, ObjectTracks


def tracks() -> ObjectTracks:
    return ObjectTracks(
        token=np.array(["a"]),
        type=np.zeros(1, np.uint8),
        extent=np.ones((1, 2)),
        pose=np.zeros((1, 41, 3)),
        velocity=np.zeros((1, 41, 2)),
        valid=np.ones((1, 41), np.bool_),
        first_heading=np.zeros(1),
        first_velocity=np.zeros((1, 2)),
    )


def test_deferred_tracks_are_computed_once_and_only_when_read():
    made = []

    def make(bounds):
        made.append(tracks())
        return made[-1]

    deferred = ObjectTracks.deferred(make)
    assert not made
    assert deferred.token.tolist() == ["a"]
    for field in fields(ObjectTracks):
        assert getattr(deferred, field.name) is getattr(made[0], field.name)
    assert len(made) == 1
    with pytest.raises(AttributeError, match="no attribute 'speed'"):
        _ = deferred.speed  # type: ignore[attr-defined]


def test_deferred_tracks_can_be_replaced_and_pickled_unread():
    moved = replace(ObjectTracks.deferred(lambda _: tracks()), extent=np.full((1, 2), 7.0))
    assert moved.extent.tolist() == [[7.0, 7.0]] and moved.pose.shape == (1, 41, 3)
    copy = pickle.loads(pickle.dumps(ObjectTracks.deferred(lambda _: tracks())))
    assert copy.token.tolist() == ["a"] and copy.valid.all()


def test_only_tracks_near_bounds_are_computed_where_none_are_yet():
    asked = []

    def make(bounds):
        asked.append(bounds)
        return tracks()

    deferred, bounds = ObjectTracks.deferred(make), np.array([0.0, 0.0, 1.0, 1.0])
    deferred.near(bounds)
    assert asked[0] is bounds
    assert deferred.valid.all() and asked[1] is None
    assert deferred.near(bounds) is deferred and len(asked) == 2


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


def test_an_error_is_raised_at_every_reading():
    def make(bounds) -> ObjectTracks:
        raise DataError("track a occurs twice")

    deferred = ObjectTracks.deferred(make)
    for _ in range(2):
        with pytest.raises(DataError, match="occurs twice"):
            _ = deferred.pose

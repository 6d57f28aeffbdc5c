from __future__ import annotations

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.scene import ObjectTracks


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

    def make():
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
    moved = replace(ObjectTracks.deferred(tracks), extent=np.full((1, 2), 7.0))
    assert moved.extent.tolist() == [[7.0, 7.0]] and moved.pose.shape == (1, 41, 3)
    copy = pickle.loads(pickle.dumps(ObjectTracks.deferred(tracks)))
    assert copy.token.tolist() == ["a"] and copy.valid.all()


def test_an_error_is_raised_at_every_reading():
    def make() -> ObjectTracks:
        raise DataError("track a occurs twice")

    deferred = ObjectTracks.deferred(make)
    for _ in range(2):
        with pytest.raises(DataError, match="occurs twice"):
            _ = deferred.pose

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.data.logs import Frame, LogBox
from navforge.data.observed_objects import global_objects
from navforge.metric_cache.objects import ObjectType
from tests.cache_builder import tiny_scene

BOXES = (("cone", "traffic_cone", 20.0, 2.9, 3.0), ("car", "vehicle", 25.0, 1.5, 3.0))


def logged(change=None) -> Frame:
    raw = tiny_scene.frame(0, boxes=BOXES)
    if change is not None:
        change(raw["anns"])
    return Frame(raw, "log", 0)


def test_classes_in_order_positions_turned_and_static_ones_still():
    found = global_objects(logged(), np.array([100.0, 50.0, np.pi / 2]))
    assert list(found.token) == ["car", "cone"]
    assert list(found.type) == [ObjectType.VEHICLE, ObjectType.TRAFFIC_CONE]
    np.testing.assert_allclose(found.pose, [[100, 70, np.pi / 2], [98.6, 65, np.pi / 2]], atol=1e-12)
    np.testing.assert_allclose(found.velocity, [[0, 3], [0, 0]], atol=1e-12)


def test_a_box_that_is_not_finite_is_refused_by_its_track():
    def break_box(anns):
        anns["gt_boxes"][1, LogBox.WIDTH] = np.nan

    with pytest.raises(DataError, match="the box of track car is not finite"):
        global_objects(logged(break_box), np.zeros(3))


def test_what_is_not_used_may_be_missing():
    def forget_height(anns):
        anns["gt_boxes"][:, [LogBox.Z, LogBox.HEIGHT]] = np.nan

    assert len(global_objects(logged(forget_height), np.zeros(3)).token) == 2

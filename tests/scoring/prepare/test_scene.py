"""Scenes made ready: what is not finite is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.prepare.scene import prepare
from tests.scoring.scenes import Sketch, Thing, straight, two_lane_road

PLANS = straight(8, 0.5, 8.0)[None]
EVERYWHERE = np.array([-1e3, -1e3, 1e3, 1e3])


def made() -> CachedScene:
    return Sketch(polygons=two_lane_road(), things=[Thing(x=30.0, y=5.0), Thing(x=60.0, y=-5.0)]).scene()


def spoilt(array: np.ndarray, value: float) -> np.ndarray:
    found = array.copy()
    found.flat[found.size // 2] = value
    return found


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("around", [None, EVERYWHERE])
def test_what_is_not_finite_is_refused_by_name(value: float, around: np.ndarray | None) -> None:
    scene = made()
    tracks = scene.objects_v2
    bad = {
        "map polygons": [replace(scene, polygons=replace(scene.polygons, xy=spoilt(scene.polygons.xy, value)))],
        "the centreline": [replace(scene, centerline=spoilt(scene.centerline, value))],
        "objects": [
            replace(scene, objects_v2=replace(tracks, **{name: spoilt(getattr(tracks, name), value)}))
            for name in ("pose", "extent", "first_heading")
        ],
    }
    for what, scenes in bad.items():
        for one in scenes:
            with pytest.raises(DataError, match=f"scene {scene.token}: NaN or infinite numbers in {what}"):
                prepare(one, around=around)


def test_unknown_velocities_are_no_error() -> None:
    scene = made()
    prepare(replace(scene, objects_v2=replace(scene.objects_v2, velocity=spoilt(scene.objects_v2.velocity, np.nan))))

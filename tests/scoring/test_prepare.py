"""Scenes made ready: what was prepared serves its own scene only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.engine import score_plans
from navforge.scoring.prepare import prepare
from tests.scoring.scenes import Sketch, Thing, straight, two_lane_road

PLANS = straight(8, 0.5, 8.0)[None]
EVERYWHERE = np.array([-1e3, -1e3, 1e3, 1e3])


def made() -> CachedScene:
    return Sketch(polygons=two_lane_road(), things=[Thing(x=30.0, y=5.0), Thing(x=60.0, y=-5.0)]).scene()


def test_what_was_prepared_serves_its_own_scene_only() -> None:
    scene = made()
    score_plans(scene, PLANS, 0.5, ["epdms_v2"], prepared=prepare(scene))
    faster = Sketch(polygons=two_lane_road(), speed=9.0).scene()
    for other in (faster, replace(scene, token="fedcba9876543210")):
        with pytest.raises(DataError, match=f"scene {scene.token} was given .* of another scene, {other.token}"):
            score_plans(scene, PLANS, 0.5, ["epdms_v2"], prepared=prepare(other))
    with pytest.raises(DataError, match=f"scene {scene.token}: .* prepared whole"):
        score_plans(scene, PLANS, 0.5, ["epdms_v2"], prepared=prepare(scene, around=EVERYWHERE))

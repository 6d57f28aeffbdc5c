"""Scenes prepared together: what cannot be scored is refused by the name of its scene."""

from __future__ import annotations

import numpy as np
import pytest

from navforge import scoring
from navforge.core.errors import DataError
from navforge.metric_cache.scene import CachedScene
from navforge.scoring.batch import prepare_batch
from navforge.scoring.prepare import prepare
from tests.scoring.scenes import Sketch, random_plans, random_scene, two_lane_road

TOKEN = "fedcba9876543210"


def made() -> list[CachedScene]:
    return [random_scene(np.random.default_rng(0)), Sketch(polygons=two_lane_road(), token=TOKEN).scene()]


def test_prepared_scenes_must_be_the_whole_and_the_same() -> None:
    scenes = made()
    plans = np.stack([random_plans(np.random.default_rng(1), 3)] * 2)
    prepared = [prepare(scene) for scene in scenes]
    found = scoring.score(prepare_batch(scenes, prepared=prepared), plans)
    np.testing.assert_array_equal(found.score, scoring.score(scenes, plans).score)
    with pytest.raises(DataError, match=f"scene {scenes[0].token} was given .* of another scene, {TOKEN}"):
        prepare_batch(scenes, prepared=prepared[::-1])
    part = prepare(scenes[1], around=np.array([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(DataError, match=f"scene {TOKEN}: .* prepared whole"):
        prepare_batch(scenes, prepared=[prepared[0], part])

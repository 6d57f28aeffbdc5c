from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring.against_reference import Scores, Terms
from navforge.scoring.batch.scenes import prepare_batch
from navforge.scoring.engine import score_plans
from navforge.scoring.library import score
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.surroundings import surroundings
from navforge.simulation.plans import to_reference_poses
from navforge.simulation.rollout import simulate
from tests.scoring.scenes import random_plans, random_scene

PROTOCOLS = ("pdms_v1", "epdms_v2")


def check(scene: CachedScene, plans: np.ndarray, interval_s: float) -> None:
    """Few plans are scored from their surroundings alone; a scene prepared whole gives the same scores."""
    protocols = [name for name in PROTOCOLS if name == "epdms_v2" or scene.objects_v1 is not None]
    near = score_plans(scene, plans, interval_s, protocols)
    for raster in (True, False):
        for name in protocols:
            whole = score(prepare_batch([scene], name, raster=raster), plans[None], name, interval_s=interval_s)
            assert_same(near[name], whole.map(lambda array: array[0]))


def assert_same(left: Scores[np.ndarray], right: Scores[np.ndarray]) -> None:
    for field in fields(Scores):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name], err_msg=f"{field.name} {name}")
        elif isinstance(one, Terms):
            np.testing.assert_array_equal(one.reference_gated_m, other.reference_gated_m.item())
            assert one.forgiven.keys() == other.forgiven.keys()
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


@pytest.mark.parametrize("seed", range(25))
def test_what_lies_beyond_changes_no_score_of_made_up_scenes(seed):
    rng = np.random.default_rng(seed)
    check(random_scene(rng), random_plans(rng, int(rng.integers(1, 6))), 0.1)


def test_what_lies_beyond_changes_no_score_of_real_scenes(real_cache: Path):
    rng = np.random.default_rng(0)
    cache = MetricCache.open(real_cache)
    for token in cache.tokens:
        check(cache.load(token), random_plans(rng, 2), 0.1)


def test_most_of_a_real_scene_lies_beyond(real_cache: Path):
    cache = MetricCache.open(real_cache)
    scene = cache.load(cache.tokens[0])
    assert scene.human_poses is not None
    states = simulate(scene.ego_state, to_reference_poses(scene, scene.human_poses[None], 0.5))
    near = prepare(scene, raster=False, around=surroundings(states))
    whole = prepare(scene, raster=False)
    assert 0 < len(near.areas.polygons.bounds) < 0.7 * len(whole.areas.polygons.bounds)
    assert 0 < len(near.traffic.track) <= len(whole.traffic.track)

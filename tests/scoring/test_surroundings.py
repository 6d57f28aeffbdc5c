from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring.engine import PlanScores, human_scores, score_plans, score_proposals
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import protocol
from navforge.scoring.surroundings import lies_within, surroundings
from navforge.simulation.plans import to_reference_poses
from navforge.simulation.rollout import simulate
from tests.scoring.scenes import random_plans, random_scene

PROTOCOLS = ("pdms_v1", "epdms_v2")


def assert_same(left: PlanScores, right: PlanScores) -> None:
    for field in fields(PlanScores):
        one, other = getattr(left, field.name), getattr(right, field.name)
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name], err_msg=f"{field.name} {name}")
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


def check(scene: CachedScene, plans: np.ndarray, interval_s: float) -> None:
    """Few plans are scored from their surroundings alone; a scene prepared whole gives the same scores."""
    protocols = [name for name in PROTOCOLS if name == "epdms_v2" or scene.objects_v1 is not None]
    near = score_plans(scene, plans, interval_s, protocols)
    for raster in (True, False):
        whole = score_plans(scene, plans, interval_s, protocols, prepared=prepare(scene, raster=raster))
        for name in protocols:
            assert_same(near[name], whole[name])


@pytest.mark.parametrize("seed", range(25))
def test_what_lies_beyond_changes_no_score_of_made_up_scenes(seed):
    rng = np.random.default_rng(seed)
    check(random_scene(rng), random_plans(rng, int(rng.integers(1, 6))), 0.1)


@pytest.mark.xdist_group("real_cache")
def test_what_lies_beyond_changes_no_score_of_real_scenes(real_cache: Path):
    rng = np.random.default_rng(0)
    cache = MetricCache.open(real_cache)
    for token in cache.tokens:
        check(cache.load(token), random_plans(rng, 2), 0.1)


@pytest.mark.xdist_group("real_cache")
def test_most_of_a_real_scene_lies_beyond(real_cache: Path):
    cache = MetricCache.open(real_cache)
    scene = cache.load(cache.tokens[0])
    assert scene.human_poses is not None
    states = simulate(scene.ego_state, to_reference_poses(scene, scene.human_poses[None], 0.5))
    near = prepare(scene, devkits=[Devkit.V2], raster=False, around=surroundings(states))
    whole = prepare(scene, devkits=[Devkit.V2], raster=False)
    assert 0 < len(near.areas.polygons.bounds) < 0.7 * len(whole.areas.polygons.bounds)
    assert 0 < len(near.traffic[Devkit.V2].track) <= len(whole.traffic[Devkit.V2].track)


def test_states_beyond_what_was_prepared_are_refused():
    rng = np.random.default_rng(3)
    scene = random_scene(rng)
    slow, fast = np.zeros((1, 8, 3)), np.zeros((1, 8, 3))
    fast[0, :, 0] = 30.0 * 0.5 * np.arange(1, 9)
    slow_states, fast_states = (
        simulate(scene.ego_state, to_reference_poses(scene, plan, 0.5)) for plan in (slow, fast)
    )
    prepared = prepare(scene, raster=False, around=surroundings(slow_states))
    score_proposals(prepared, slow_states, "epdms_v2")
    with pytest.raises(DataError, match="prepared for other states"):
        score_proposals(prepared, fast_states, "epdms_v2")


def test_a_human_driver_beyond_what_was_prepared_is_refused():
    rng = np.random.default_rng(3)
    poses = np.zeros((8, 3))
    poses[:, 0] = 30.0 * 0.5 * np.arange(1, 9)
    scene = replace(random_scene(rng), human_poses=poses)
    human = simulate(scene.ego_state, to_reference_poses(scene, poses[None], 0.5))
    standing = simulate(scene.ego_state, to_reference_poses(scene, np.zeros((1, 8, 3)), 0.5))
    rules = protocol("epdms_v2")
    near = prepare(scene, raster=False, around=surroundings(human))
    assert human_scores(scene, near, rules) == human_scores(scene, prepare(scene), rules)
    with pytest.raises(DataError, match="prepared for other states"):
        human_scores(scene, prepare(scene, raster=False, around=surroundings(standing)), rules)


def test_bounds_within_bounds():
    outer = np.array([0.0, 0.0, 10.0, 10.0])
    assert lies_within(outer, outer)
    for side, off in ((0, -1.0), (1, -1.0), (2, 1.0), (3, 1.0)):
        inner = outer.copy()
        inner[side] += off
        assert not lies_within(inner, outer)

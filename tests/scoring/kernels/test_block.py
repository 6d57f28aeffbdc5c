"""Blocks of eight: the fused kernel against simulation and scoring apart, tails, neighbours that do not matter."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.scoring.against_reference import Scores
from navforge.scoring.engine import score_plans, score_proposals
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import protocol
from navforge.simulation.plans import prepare_plans
from navforge.simulation.rollout import drive
from tests.scoring.scenes import Sketch, moved, random_plans, random_scene, two_lane_road

BOTH = ("pdms_v1", "epdms_v2")
PLANS = 17


def assert_same_bits(found: Scores[np.ndarray], expected: Scores[np.ndarray], rows: np.ndarray) -> None:
    for column, values in expected.values.items():
        np.testing.assert_array_equal(found.values[column], values[rows], column)
    np.testing.assert_array_equal(found.progress_m, expected.progress_m[rows])
    np.testing.assert_array_equal(found.score, expected.score[rows])
    np.testing.assert_array_equal(found.collision_step, expected.collision_step[rows])
    np.testing.assert_array_equal(found.ttc_step, expected.ttc_step[rows])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", BOTH)
def test_plans_score_as_their_states_do(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = moved(random_scene(rng), np.array([331_234.5, 4_690_987.25, 2.3]))
    plans = random_plans(rng, PLANS)
    scores = score_plans(scene, plans, 0.1, [name], human_filter=False)[name]
    states = drive(scene.ego_state, scene.time_us, prepare_plans(plans, 0.1))
    apart = score_proposals(prepare(scene, protocol(name).devkit), states, name)
    for column, values in apart.values.items():
        if column != "ego_progress":
            np.testing.assert_array_equal(scores.values[column], values, column)
    np.testing.assert_array_equal(scores.progress_m, apart.progress_m)
    np.testing.assert_array_equal(scores.collision_step, apart.collision_step)
    np.testing.assert_array_equal(scores.ttc_step, apart.ttc_step)


@pytest.mark.parametrize("name", BOTH)
def test_tails_and_neighbours_change_nothing(name: str) -> None:
    rng = np.random.default_rng(4)
    scene = random_scene(rng)
    plans = random_plans(rng, PLANS)
    whole = score_plans(scene, plans, 0.1, [name])[name]
    for count in range(1, PLANS + 1):
        some = score_plans(scene, plans[:count], 0.1, [name])[name]
        assert_same_bits(some, whole, np.arange(count))
    order = rng.permutation(PLANS)
    assert_same_bits(score_plans(scene, plans[order], 0.1, [name])[name], whole, order)
    twice = score_plans(scene, np.repeat(plans, 2, axis=0), 0.1, [name])[name]
    assert_same_bits(twice, whole, np.repeat(np.arange(PLANS), 2))


def test_proposals_that_begin_apart() -> None:
    """States need not share their first step: progress starts where each begins."""
    rng = np.random.default_rng(8)
    scene = Sketch(polygons=two_lane_road(), centerline=np.array([[-50.0, 0.0], [200.0, 0.0]])).scene()
    states = drive(scene.ego_state, scene.time_us, prepare_plans(random_plans(rng, PLANS), 0.1)).copy()
    ahead = rng.uniform(-5, 5, PLANS)
    states[:, 0, 0] += ahead
    prepared = prepare(scene)
    together = score_proposals(prepared, states, "epdms_v2").progress_m
    alone = [score_proposals(prepared, states[n : n + 1], "epdms_v2").progress_m[0] for n in range(PLANS)]
    np.testing.assert_array_equal(together, alone)
    assert len(set(together - ahead)) > 1


def test_prepared_plans_are_plans() -> None:
    rng = np.random.default_rng(5)
    scene, poses = random_scene(rng), random_plans(rng, PLANS)
    plans = prepare_plans(poses, 0.1)
    expected = score_plans(scene, poses, 0.1, BOTH)
    found = score_plans(scene, plans, 0.1, BOTH)
    for name in BOTH:
        assert_same_bits(found[name], expected[name], np.arange(PLANS))
    with pytest.raises(DataError, match=r"0.1 s apart, not 0.5 s"):
        score_plans(scene, plans, 0.5, BOTH)


@pytest.mark.parametrize("bad", [0, 7, 9, 16])
def test_states_that_overflow_are_named(bad: int) -> None:
    rng = np.random.default_rng(6)
    scene, poses = random_scene(rng), random_plans(rng, PLANS)
    poses[bad, :, 0] = np.linspace(0, 1e308, poses.shape[1])
    with pytest.raises(DataError, match=f"proposal {bad} is not finite"):
        score_plans(scene, poses, 0.1, ["epdms_v2"])


def test_far_away_is_no_error() -> None:
    """A plan beyond raster, bins and strips, and beyond whole numbers of cells, is scored."""
    rng = np.random.default_rng(7)
    scene, poses = random_scene(rng), random_plans(rng, PLANS)
    fine = score_plans(scene, poses, 0.1, ["epdms_v2"])["epdms_v2"]
    poses[3, :, 0] = np.linspace(0, 1e30, poses.shape[1])
    poses[11, :, 1] = np.linspace(0, -1e6, poses.shape[1])
    scores = score_plans(scene, poses, 0.1, ["epdms_v2"])["epdms_v2"]
    others = np.delete(np.arange(PLANS), [3, 11])
    np.testing.assert_array_equal(scores.score[others], fine.score[others])
    assert scores.unfiltered["drivable_area_compliance"][[3, 11]].tolist() == [0.0, 0.0]

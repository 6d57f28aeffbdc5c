"""Whole chain, from plans to sub-scores, on every backend: official results, the plain reference, properties, fuzz.

`test_golden_parity.py` compares stages; here plans go in and raw results come out, as teacher stores and rewards use
the engine. The simulator runs everything in plain Python, so it gets a few plans of each scene.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navforge import scoring
from navforge.core.errors import DataError
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import CachedScene, MapLayer
from navforge.scoring.batch.scenes import prepare_batch
from navforge.scoring.engine import score_plans
from navforge.scoring.metrics import Column
from navforge.scoring.protocols import protocol
from navforge.simulation.plans import to_reference_poses
from tests.scoring.backends import BACKENDS, INTERVAL_S, Backend
from tests.scoring.golden import golden_files, load, scene_from_golden
from tests.scoring.reference import Reference
from tests.scoring.scenes import Sketch, Thing, box, moved, random_plans, random_scene, two_lane_road
from tests.simulation.reference import simulate_one

FEW = 3
NEVER = 255
V2_ROWS = (Column.COLLISION, Column.DRIVABLE, Column.LIGHTS, Column.DIRECTION)
V2_WEIGHTED_ROWS = (Column.TTC, Column.LANE, Column.COMFORT)


def is_slow(request: pytest.FixtureRequest) -> bool:
    return "simulator" in request.node.callspec.id


def whole_vocabularies(realdata: Path, navsim_files: Path, plans: int) -> tuple[list[CachedScene], np.ndarray, list]:
    files = [load(path) for path in sorted((realdata / "golden" / "v2_full8192").glob("*.npz"))]
    scenes = [scene_from_golden(realdata, str(stored["token"]), with_v1=False) for stored in files]
    entries = np.load(navsim_files / "vocabulary_8192.npy").astype(np.float64)
    return scenes, entries[:: len(entries) // plans][:plans], files


@pytest.mark.parametrize("backend", BACKENDS)
def test_whole_vocabularies_are_the_official_ones(
    backend: Backend, realdata: Path, navsim_files: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    count = FEW if is_slow(request) else 8192
    scenes, plans, files = whole_vocabularies(realdata, navsim_files, count)
    results, events = backend(prepare_batch(scenes, "epdms_v2"), plans, True, tmp_path)
    results, events = results.reshape(-1, len(scenes), count), events.reshape(2, len(scenes), count)
    for s, stored in enumerate(files):
        columns = 1 + np.arange(0, 8192, 8192 // count)[:count]  # the first is PDM-Closed
        for row, official in zip(V2_ROWS, stored["multi_x2"], strict=True):
            np.testing.assert_array_equal(2 * results[row, s], official[columns], row.name)
        for row, official in zip(V2_WEIGHTED_ROWS, stored["ttc_lk_hc"], strict=True):
            np.testing.assert_array_equal(results[row, s], official[columns], row.name)
        np.testing.assert_allclose(results[Column.PROGRESS, s], stored["progress_raw"][columns], atol=1e-5)
        np.testing.assert_array_equal(events[0, s].astype(np.uint8), stored["collision_idx"][columns])
        np.testing.assert_array_equal(events[1, s].astype(np.uint8), stored["ttc_idx"][columns])


@pytest.mark.parametrize("name", ["epdms_v2", "pdms_v1"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_all_golden_scenes_in_one_batch(
    backend: Backend,
    name: str,
    realdata: Path,
    navsim_files: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """38 scenes of different size side by side, each with its own 256 plans."""
    entries = np.load(navsim_files / "vocabulary_8192.npy").astype(np.float64)
    files = golden_files(realdata, "v2" if name == "epdms_v2" else "v1")[:: 13 if is_slow(request) else 1]
    count = FEW if is_slow(request) else 256
    stored = [load(path) for path in files]
    scenes = [scene_from_golden(realdata, path.stem) for path in files]
    plans = np.concatenate([entries[one["vocab_ids"][:count]] for one in stored])
    results, events = backend(prepare_batch(scenes, name), plans, False, tmp_path)
    results, events = results.reshape(-1, len(scenes), count), events.reshape(2, len(scenes), count)
    gates = V2_ROWS if name == "epdms_v2" else V2_ROWS[:2]
    weighted = V2_WEIGHTED_ROWS if name == "epdms_v2" else (Column.TTC, Column.COMFORT, Column.DIRECTION)
    for s, one in enumerate(stored):
        for row, official in zip(gates, one["vocab_multi"], strict=True):
            np.testing.assert_array_equal(results[row, s], official[1 : count + 1], row.name)
        for row, official in zip(weighted, one["vocab_weighted"][1:4], strict=True):
            np.testing.assert_array_equal(results[row, s], official[1 : count + 1], row.name)
        np.testing.assert_allclose(results[Column.PROGRESS, s], one["vocab_progress_raw"][1 : count + 1], atol=1e-9)
        for found, official in zip(events[:, s], (one["vocab_collision_idx"], one["vocab_ttc_idx"]), strict=True):
            np.testing.assert_array_equal(np.where(found < 0, np.inf, found), official[1 : count + 1])


@pytest.mark.parametrize("name", ["epdms_v2", "pdms_v1"])
def test_neither_place_nor_company_nor_order_changes_a_score(name: str) -> None:
    """Scenes moved by SE(2), scored in one batch or alone, in another order, with proposals permuted and split."""
    rng = np.random.default_rng(3)
    scenes = [random_scene(rng), Sketch().scene(), random_scene(rng), random_scene(rng)]
    plans = random_plans(rng, 4 * 21).reshape(4, 21, 40, 3)
    together = scoring.score(scenes, plans, name)
    order, shuffle = rng.permutation(4), rng.permutation(21)
    other = scoring.score([scenes[s] for s in order], plans[order][:, shuffle], name)
    np.testing.assert_array_equal(other.score, together.score[order][:, shuffle])
    halves = [scoring.score(scenes, plans[:, part], name).score for part in (slice(0, 5), slice(5, 21))]
    np.testing.assert_array_equal(np.concatenate(halves, axis=1), together.score)
    for s, scene in enumerate(scenes):
        np.testing.assert_array_equal(scoring.score([scene], plans[s : s + 1], name).score[0], together.score[s])
    away = scoring.score([moved(scene, np.array([331_234.5, 4_690_987.25, 2.3])) for scene in scenes], plans, name)
    for column, values in together.values.items():
        np.testing.assert_allclose(away.values[column], values, atol=1e-5, err_msg=column)
    np.testing.assert_array_equal(away.collision_step, together.collision_step)
    np.testing.assert_array_equal(away.ttc_step, together.ttc_step)


# Fuzz: odd scenes and odd plans against the plain reference


def things() -> st.SearchStrategy[Thing]:
    return st.builds(
        Thing,
        x=st.sampled_from([-9.0, 0.0, 3.9, 6.0, 12.0, 25.0, 500.0]),
        y=st.sampled_from([-3.0, -1.1485, 0.0, 1.75, 2.3, 40.0]),
        heading=st.sampled_from([0.0, 0.4, np.pi / 2, np.pi, -3.0]),
        length=st.sampled_from([0.0, 0.5, 4.5, 14.0]),
        width=st.sampled_from([0.0, 0.5, 1.9]),
        vx=st.sampled_from([0.0, 0.04, 8.0, -30.0]),
        vy=st.sampled_from([0.0, -1.0]),
        type=st.sampled_from([ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.TRAFFIC_CONE]),
        first=st.sampled_from([0, 0, 7]),
        last=st.sampled_from([50, 50, 7, 3]),
    )


ODD_POLYGONS = (
    shapely.Polygon([(0, 0), (10, 0), (20, 0)]),  # no area
    shapely.Polygon([(-5, -2), (30, -2), (30, 2), (30, 2), (30, 2), (-5, 2)]),  # repeated vertices
    shapely.Polygon([(-5, -3), (40, 3), (40, -3), (-5, 3)]),  # crosses itself
    shapely.Polygon([(-20, -8), (90, -8), (90, 8), (-20, 8)], [[(3, -1), (9, -1), (9, 1), (3, 1)]]),  # with a hole
    shapely.Polygon([(1e-9, 0), (0, 1e-9), (-1e-9, 0)]),  # tiny
    box(-1e4, -1e4, 1e4, 1e4),
)
PLANS = {
    "stationary": np.zeros((40, 3)),
    "duplicate poses": np.repeat(np.stack([np.arange(1, 6) * 4.0, np.zeros(5), np.zeros(5)], axis=1), 8, axis=0),
    "reversing": np.stack([-0.3 * np.arange(1, 41), np.zeros(40), np.zeros(40)], axis=1),
    "40 m/s": np.stack([4.0 * np.arange(1, 41), 0.02 * np.arange(1, 41), np.full(40, 0.01)], axis=1),
    "turning on the spot": np.stack([np.zeros(40), np.zeros(40), np.linspace(0, 9, 40)], axis=1),
    "there and back": np.stack([8 * np.sin(np.linspace(0, np.pi, 40)), np.zeros(40), np.zeros(40)], axis=1),
    "jitter": np.random.default_rng(0).normal(0, 1e-9, (40, 3)),
    "jump": np.where(np.arange(40)[:, None] < 20, 0.0, [60.0, -5.0, 3.0]),
}


def sketches() -> st.SearchStrategy[Sketch]:
    layers = st.sampled_from([MapLayer.ROADBLOCK, MapLayer.LANE, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA])
    polygons = st.lists(st.tuples(layers, st.sampled_from(ODD_POLYGONS), st.booleans()), max_size=4)
    return st.builds(
        Sketch,
        speed=st.sampled_from([0.0, 0.15, 8.0, 40.0]),
        things=st.lists(things(), max_size=5).map(tuple),
        polygons=st.tuples(polygons, st.booleans()).map(lambda drawn: drawn[0] + two_lane_road() * drawn[1]),
        lights=st.lists(st.tuples(st.integers(0, 40), st.sampled_from(ODD_POLYGONS[1:4])), max_size=2).map(tuple),
        history=st.sampled_from([4, 15]),
    )


@pytest.mark.parametrize("name", ["epdms_v2", "pdms_v1"])
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(sketch=sketches())
def test_odd_scenes_and_plans_score_as_the_plain_reference_says(name: str, sketch: Sketch) -> None:
    rules, scene, plans = protocol(name), sketch.scene(), np.stack(list(PLANS.values()))
    found = score_plans(scene, plans, INTERVAL_S, [rules], human_filter=False)[name]
    reference = Reference(scene, Devkit(rules.devkit))
    for n, inputs in enumerate(to_reference_poses(scene, plans, INTERVAL_S)):
        plan, expected = list(PLANS)[n], reference.score(simulate_one(scene.ego_state, inputs))
        for metric in rules.metrics:
            if metric.name != "ego_progress":
                assert found.values[metric.name][n] == expected[metric.name], (plan, metric.name)
        assert found.progress_m[n] == pytest.approx(expected["progress"], abs=1e-6), plan
        assert found.collision_step[n] == expected["collision_step"], plan
        assert found.ttc_step[n] == expected["ttc_step"], plan


@pytest.mark.parametrize("where", [(0, 0), (17, 2), (39, 1)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_plans_that_are_not_finite_are_refused(where: tuple[int, int], value: float) -> None:
    plans = np.zeros((2, 3, 40, 3))
    plans[(1, 2, *where)] = value
    scenes = [Sketch().scene(), replace(Sketch().scene(), token="fedcba9876543210")]
    with pytest.raises(DataError, match="fedcba9876543210"):
        scoring.score(scenes, plans)
    with pytest.raises(DataError, match="plan 2"):
        score_plans(scenes[1], plans[1], INTERVAL_S, ["epdms_v2"])

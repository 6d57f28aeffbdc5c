"""Parity with the official devkit on two real logs: every stage that simulation and scoring own.

The arrays come from `realdata/golden` (its README names each); they were made by NAVSIM v2.2 and v1.1, unmodified.
Discrete sub-scores must be equal everywhere.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import CachedScene
from navforge.scoring import aggregate
from navforge.scoring.against_reference import Scores
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.batch.scenes import prepare_batch
from navforge.scoring.engine import ProposalScores, score_plans, score_proposals
from navforge.scoring.extended_comfort import previous_scenes, two_frame_extended_comfort
from navforge.scoring.metrics import Column
from navforge.scoring.prepare.scene import prepare
from navforge.scoring.protocols import protocol
from navforge.simulation.plans import prepare_plans, to_reference_poses
from navforge.simulation.rollout import drive, simulate
from tests.scoring.golden import golden_files, load, scene_from_golden
from tests.scoring.human import human_scores

SCENES = 38
EXACT = 5e-10
"""Of states, sub-scores and scores; measured: 1.2e-10."""
EXACT_M = 5e-9
"""Of progress; measured: 8.2e-10, a unit in the last place of a northing."""
FLOAT32 = 1e-7
"""Of what is stored in single precision."""
V2_GATES = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "traffic_light_compliance",
    "driving_direction_compliance",
)
V2_WEIGHTED = ("ego_progress", "time_to_collision_within_bound", "lane_keeping", "history_comfort")
V1_GATES = V2_GATES[:2]
V1_WEIGHTED = ("ego_progress", "time_to_collision_within_bound", "comfort", "driving_direction_compliance")


@cache
def case(realdata: Path, index: int) -> tuple[CachedScene, dict[Devkit, SceneArrays], dict, dict]:
    path = golden_files(realdata)[index]
    v2 = load(path)
    v1 = load(realdata / "golden" / "v1" / path.parent.name / path.name)
    scene = scene_from_golden(realdata, path.stem)
    return scene, {devkit: prepare(scene, devkit) for devkit in Devkit}, v2, v1


@cache
def vocabulary(navsim_files: Path) -> np.ndarray:
    return np.load(navsim_files / "vocabulary_8192.npy")


def batch(scene: CachedScene, devkit: Devkit, plans: np.ndarray) -> np.ndarray:
    references = np.concatenate([scene.pdm_reference_input[devkit][None], to_reference_poses(scene, plans, 0.1)])
    return simulate(scene.ego_state, references)


def steps(found: np.ndarray) -> np.ndarray:
    return np.where(found < 0, np.inf, found)


def assert_discrete(found: ProposalScores, stored: dict[str, np.ndarray]) -> None:
    for name, values in stored.items():
        np.testing.assert_array_equal(found.values[name], values, err_msg=name)


@pytest.mark.parametrize("index", range(SCENES))
def test_vocabulary_v2(realdata: Path, navsim_files: Path, index: int) -> None:
    scene, prepared, v2, _ = case(realdata, index)
    plans = vocabulary(navsim_files)[v2["vocab_ids"]]
    inputs = to_reference_poses(scene, plans[:16], 0.1)
    np.testing.assert_allclose(inputs, v2["vocab_input_states"][1:, :, :3], rtol=0, atol=2e-9)
    np.testing.assert_allclose(scene.pdm_reference_input[1], v2["pdm_reference_states"][:, :3], rtol=0, atol=2e-9)
    states = batch(scene, Devkit.V2, plans)
    np.testing.assert_allclose(states[:65], v2["vocab_states"], rtol=0, atol=EXACT)
    scores = score_proposals(prepared[Devkit.V2], states, "epdms_v2")
    stored = dict(zip(V2_GATES, v2["vocab_multi"], strict=True))
    stored |= dict(zip(V2_WEIGHTED[1:], v2["vocab_weighted"][1:4], strict=True))
    assert_discrete(scores, stored)
    np.testing.assert_array_equal(steps(scores.collision_step), v2["vocab_collision_idx"])
    np.testing.assert_array_equal(steps(scores.ttc_step), v2["vocab_ttc_idx"])
    np.testing.assert_allclose(scores.progress_m, v2["vocab_progress_raw"], rtol=0, atol=EXACT_M)
    np.testing.assert_allclose(scores.values["ego_progress"], v2["vocab_weighted"][0], rtol=0, atol=EXACT)
    np.testing.assert_allclose(scores.score, v2["vocab_score"], rtol=0, atol=EXACT)


@pytest.mark.parametrize("index", range(SCENES))
def test_vocabulary_v1(realdata: Path, navsim_files: Path, index: int) -> None:
    scene, prepared, _, v1 = case(realdata, index)
    states = batch(scene, Devkit.V1, vocabulary(navsim_files)[v1["vocab_ids"]])
    np.testing.assert_allclose(states[:65], v1["vocab_states"], rtol=0, atol=EXACT)
    scores = score_proposals(prepared[Devkit.V1], states, "pdms_v1")
    stored = dict(zip(V1_GATES, v1["vocab_multi"], strict=True))
    stored |= dict(zip(V1_WEIGHTED[1:], v1["vocab_weighted"][1:], strict=True))
    assert_discrete(scores, stored)
    np.testing.assert_array_equal(steps(scores.collision_step), v1["vocab_collision_idx"])
    np.testing.assert_array_equal(steps(scores.ttc_step), v1["vocab_ttc_idx"])
    np.testing.assert_allclose(scores.progress_m, v1["vocab_progress_raw"], rtol=0, atol=EXACT_M)
    np.testing.assert_allclose(scores.values["ego_progress"], v1["vocab_weighted"][0], rtol=0, atol=EXACT)
    np.testing.assert_allclose(scores.score, v1["vocab_score"], rtol=0, atol=EXACT)


@pytest.mark.parametrize("index", range(SCENES))
def test_plans_scored_alone(realdata: Path, navsim_files: Path, index: int) -> None:
    """The first 16 vocabulary entries, each through `pdm_score`, human filter included."""
    scene, _, v2, v1 = case(realdata, index)
    for stored, name in ((v2, "epdms_v2"), (v1, "pdms_v1")):
        plans = vocabulary(navsim_files)[stored["vocab_ids"][:16]]
        scores = score_plans(scene, plans, 0.1, [name])[name]
        for column, values in zip(stored["row_fields"], stored["single_rows"].T, strict=True):
            if column in scores.values:
                np.testing.assert_allclose(scores.values[str(column)], values, rtol=0, atol=EXACT, err_msg=str(column))
        rules = protocol(name)
        if name == "pdms_v1":
            np.testing.assert_allclose(scores.score, stored["single_rows"][:, -1], rtol=0, atol=EXACT)
        else:
            gates = stored["single_rows"][:, list(stored["row_fields"]).index("multiplicative_metrics_prod")]
            np.testing.assert_allclose(aggregate.gate(scores.scored, rules), gates, rtol=0, atol=EXACT)
            weighted = stored["single_row_weighted"][:, :4] @ [5, 5, 2, 2] / 14.0
            np.testing.assert_allclose(scores.score, gates * weighted, rtol=0, atol=EXACT)
            np.testing.assert_allclose(scores.progress_m, stored["single_progress_raw"][:, 1], rtol=0, atol=EXACT_M)
            reference_m = prepare_batch([scene], name).reference_results[Column.PROGRESS]
            np.testing.assert_allclose(reference_m, stored["single_progress_raw"][0, 0], rtol=0, atol=EXACT)


def agent_scores(realdata: Path, index: int, agent: str, name: str) -> tuple[Scores[np.ndarray], np.ndarray]:
    """Scores and states."""
    scene, _, v2, _ = case(realdata, index)
    plans = prepare_plans(v2[f"{agent}_poses"][None], 0.5)
    return score_plans(scene, plans, 0.5, [name])[name], drive(scene.ego_state, scene.time_us, plans)


@pytest.mark.parametrize("agent", ["cv", "human"])
@pytest.mark.parametrize("index", range(SCENES))
def test_agent_rows(realdata: Path, index: int, agent: str) -> None:
    _, _, v2, v1 = case(realdata, index)
    scores, states = agent_scores(realdata, index, agent, "epdms_v2")
    np.testing.assert_allclose(states[0], v2[f"{agent}_replay_states"][1], rtol=0, atol=EXACT)
    row = dict(zip(v2["row_fields"], v2[f"{agent}_replay_row"], strict=True))
    for column, values in scores.values.items():
        np.testing.assert_allclose(values, row[column], rtol=0, atol=EXACT, err_msg=column)
    assert steps(scores.collision_step) == v2[f"{agent}_replay_collision_idx"][1]
    assert steps(scores.ttc_step) == v2[f"{agent}_replay_ttc_idx"][1]
    scores, _ = agent_scores(realdata, index, agent, "pdms_v1")
    row = dict(zip(v1["row_fields"], v1[f"{agent}_row"], strict=True))
    for column, values in scores.values.items():
        np.testing.assert_allclose(values, row[column], rtol=0, atol=EXACT, err_msg=column)
    np.testing.assert_allclose(scores.score, row["score"], rtol=0, atol=EXACT)


@pytest.mark.parametrize("index", range(SCENES))
def test_human_filter_run(realdata: Path, index: int) -> None:
    scene, _, v2, _ = case(realdata, index)
    human = human_scores(scene)
    assert human is not None
    stored = dict(zip(V2_GATES, v2["human_replay_filter_multi"][:, 0], strict=True))
    stored |= dict(zip(V2_WEIGHTED, v2["human_replay_filter_weighted"][:4, 0], strict=True))
    assert human == pytest.approx(stored, abs=EXACT)


def official(path: Path) -> dict[str, dict[str, str]]:
    with path.open() as file:
        return {row["token"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(("agent", "title"), [("cv", "constant_velocity_agent"), ("human", "human_agent")])
def test_official_tables(realdata: Path, agent: str, title: str) -> None:
    """Per-scene rows, two-frame extended comfort, final scores and means of the official result tables."""
    scenes = [case(realdata, i)[0] for i in range(SCENES)]
    rows = [agent_scores(realdata, i, agent, "epdms_v2") for i in range(SCENES)]
    rules = protocol("epdms_v2")
    table = official(realdata / "golden" / "v2" / f"official_{title}_non_reactive.csv")
    previous = previous_scenes([s.log_name for s in scenes], [s.time_us for s in scenes])
    finals = []
    for scene, (row, states), before in zip(scenes, rows, previous, strict=True):
        stored = table[scene.token]
        extended = None
        if before >= 0:
            gap = (scene.time_us - scenes[before].time_us) * 1e-6
            extended = two_frame_extended_comfort(states, rows[before][1], gap)
            assert extended[0] == float(stored["two_frame_extended_comfort"])
        else:
            assert stored["two_frame_extended_comfort"] == ""
        final = aggregate.score(row.scored, rules, extended)
        assert final[0] == pytest.approx(float(stored["score"]), abs=EXACT)
        finals.append(final[0])
    assert (previous < 0).sum() == 2
    mean = next(row for token, row in table.items() if token.startswith("average"))
    assert np.mean(finals) == pytest.approx(float(mean["score"]), abs=EXACT)
    table = official(realdata / "golden" / "v1" / f"official_{title}.csv")
    finals = [agent_scores(realdata, i, agent, "pdms_v1")[0].score[0] for i in range(SCENES)]
    for scene, final in zip(scenes, finals, strict=True):
        assert final == pytest.approx(float(table[scene.token]["score"]), abs=EXACT)


@pytest.mark.parametrize("index", range(4))
def test_whole_vocabulary(realdata: Path, navsim_files: Path, index: int) -> None:
    path = sorted((realdata / "golden" / "v2_full8192").glob("*.npz"))[index]
    stored = load(path)
    scene = scene_from_golden(realdata, str(stored["token"]), with_v1=False)
    prepared = prepare(scene)
    states = batch(scene, Devkit.V2, vocabulary(navsim_files))
    scores = score_proposals(prepared, states, "epdms_v2")
    discrete = dict(zip(V2_GATES, stored["multi_x2"] / 2.0, strict=True))
    discrete |= dict(zip(V2_WEIGHTED[1:], stored["ttc_lk_hc"].astype(np.float64), strict=True))
    assert_discrete(scores, discrete)
    np.testing.assert_array_equal(scores.collision_step.astype(np.uint8), stored["collision_idx"])
    np.testing.assert_array_equal(scores.ttc_step.astype(np.uint8), stored["ttc_idx"])
    np.testing.assert_allclose(scores.progress_m, stored["progress_raw"], rtol=0, atol=40 * FLOAT32)
    np.testing.assert_allclose(scores.values["ego_progress"], stored["progress"], rtol=0, atol=FLOAT32)
    np.testing.assert_allclose(scores.score, stored["score"], rtol=0, atol=FLOAT32)


@pytest.mark.parametrize("index", range(0, SCENES, 6))
def test_pdm_closed_proposals(realdata: Path, index: int) -> None:
    """What PDM-Closed's own scorer finds without traffic: areas, direction, lanes, progress, no history."""
    scene, _, v2, _ = case(realdata, index)
    prepared = prepare(replace(scene, history_states=np.empty((0, 11))))
    states = simulate(scene.ego_state, v2["closed_proposals"][:, :41, :3])
    np.testing.assert_allclose(states, v2["closed_simulated"], rtol=0, atol=EXACT)
    scores = score_proposals(prepared, states, "epdms_v2")
    for name, row in (("drivable_area_compliance", 1), ("driving_direction_compliance", 3)):
        np.testing.assert_array_equal(scores.values[name], v2["closed_multi"][row])
    for name, row in (("lane_keeping", 2), ("history_comfort", 3)):
        np.testing.assert_array_equal(scores.values[name], v2["closed_weighted"][row])
    np.testing.assert_allclose(scores.progress_m, v2["closed_progress_raw"], rtol=0, atol=EXACT_M)

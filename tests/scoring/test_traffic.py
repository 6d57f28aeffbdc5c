"""Scores in reactive traffic: parity with the official devkit on two real logs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from navforge.core.errors import ConfigError, DataError
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.metric_cache.tracks import ObjectTracks
from navforge.scoring.engine import score_plans
from navforge.scoring.protocols import protocol
from navforge.scoring.traffic import check_traffic
from navforge.simulation.plans import to_reference_poses
from navforge.simulation.reactive import prepare_reactive, simulate_traffic
from navforge.simulation.rollout import simulate
from tests.scoring.golden import golden_files, load, tracks
from tests.scoring.human import human_scores
from tests.scoring.scenes import Sketch, straight

SCENES = 38
EXACT = 5e-9
"""Of states, scores and progress in metres; measured: 6.4e-10."""
VEHICLES_M = 5e-8
"""Of poses and velocities of vehicles; measured: 3.4e-8."""
GATES = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "traffic_light_compliance",
    "driving_direction_compliance",
)
WEIGHTED = ("ego_progress", "time_to_collision_within_bound", "lane_keeping", "history_comfort")


@pytest.fixture(scope="module")
def scenes(real_cache: Path) -> dict[str, CachedScene]:
    cache = MetricCache.open(real_cache)
    return {token: cache.load(token) for token in cache.tokens}


def steps(found: np.ndarray) -> np.ndarray:
    return np.where(found < 0, np.inf, found)


def close(actual: np.ndarray, golden: float | np.ndarray, atol: float = EXACT, message: str = "") -> None:
    """Within an absolute bound: a relative one would forgive decimetres of a northing."""
    np.testing.assert_allclose(actual, golden, rtol=0, atol=atol, err_msg=message)


def vehicles(found: ObjectTracks) -> dict[tuple[int, str], np.ndarray]:
    """x, y, heading, length, width, vx, vy of every vehicle by step and token."""
    return {
        (step, str(found.token[o])): np.concatenate([found.pose[o, step], found.extent[o], found.velocity[o, step]])
        for o, step in zip(*np.nonzero(found.valid), strict=True)
        if found.type[o] == 0
    }


@pytest.mark.parametrize("agent", ["cv", "human"])
@pytest.mark.parametrize("index", range(SCENES))
def test_vehicles_and_rows_are_the_official_ones(
    realdata: Path, scenes: dict[str, CachedScene], index: int, agent: str
) -> None:
    stored = load(golden_files(realdata)[index])
    scene = scenes[str(stored["token"])]
    plan = stored[f"{agent}_poses"][None]
    states = simulate(scene.ego_state, to_reference_poses(scene, plan, 0.5))
    mine = vehicles(simulate_traffic(prepare_reactive(scene), states[0]))
    theirs = vehicles(tracks(stored, f"{agent}_idm_vehicles", 41))
    assert mine.keys() == theirs.keys()
    apart = np.array([mine[key] - theirs[key] for key in theirs])
    apart[:, 2] = np.angle(np.exp(1j * apart[:, 2]))
    close(apart, 0.0, VEHICLES_M)

    scored = score_plans(scene, plan, 0.5, ["epdms_v2"], traffic="reactive")
    scores = scored["epdms_v2"]
    close(states[0], stored[f"{agent}_idm_states"][1])
    row = dict(zip(stored["row_fields"], stored[f"{agent}_idm_row"], strict=True))
    for column, values in scores.values.items():
        close(values, row[column], message=column)
    assert steps(scores.collision_step) == stored[f"{agent}_idm_collision_idx"][1]
    assert steps(scores.ttc_step) == stored[f"{agent}_idm_ttc_idx"][1]
    close(scores.progress_m, stored[f"{agent}_idm_progress_raw"][1])
    gated = stored[f"{agent}_idm_progress_raw"][0] * stored[f"{agent}_idm_multi"][:, 0].prod()
    assert scores.terms.reference_gated_m == pytest.approx(gated, abs=EXACT)
    weighted = stored[f"{agent}_idm_row_weighted"][:4] @ [5, 5, 2, 2] / 14.0
    close(scores.score, row["multiplicative_metrics_prod"] * weighted)


@pytest.mark.parametrize("index", range(SCENES))
def test_human_filter_run_has_traffic_of_its_own(realdata: Path, scenes: dict[str, CachedScene], index: int) -> None:
    stored = load(golden_files(realdata)[index])
    scene = scenes[str(stored["token"])]
    human = human_scores(scene, reactive=True)
    wanted = dict(zip(GATES, stored["human_idm_filter_multi"][:, 0], strict=True))
    wanted |= dict(zip(WEIGHTED, stored["human_idm_filter_weighted"][:4, 0], strict=True))
    assert human == pytest.approx(wanted, abs=EXACT)


def test_traffic_changes_scores(scenes: dict[str, CachedScene], realdata: Path) -> None:
    """The goldens tell the two kinds of traffic apart."""
    changed = 0
    for path in golden_files(realdata):
        stored = load(path)
        changed += not np.array_equal(stored["cv_idm_row"], stored["cv_replay_row"])
    assert changed >= 5


def test_refusals() -> None:
    v1, v2 = protocol("pdms_v1"), protocol("epdms_v2")
    check_traffic("reactive", [v2, protocol("epdms_v2_before_fix")])
    check_traffic("log_replay", [v1, v2])
    with pytest.raises(ConfigError, match=r"traffic=reactive.*pdms_v1.*log_replay"):
        check_traffic("reactive", [v2, v1])
    with pytest.raises(ConfigError, match="one of log_replay, reactive, got 'idm'"):
        check_traffic("idm", [v2])
    scene = Sketch().scene()
    plans = np.stack([straight(8, 0.5, 5.0)] * 2)
    with pytest.raises(ConfigError, match="pdms_v1"):
        score_plans(scene, plans[:1], 0.5, ["pdms_v1"], traffic="reactive")
    with pytest.raises(DataError, match="no start of reactive traffic"):
        score_plans(scene, plans[:1], 0.5, ["epdms_v2"], traffic="reactive")


def test_several_plans_are_refused(scenes: dict[str, CachedScene]) -> None:
    scene = next(iter(scenes.values()))
    plans = np.stack([straight(8, 0.5, 5.0)] * 2)
    with pytest.raises(DataError, match="2 plans were given, but reactive traffic answers one"):
        score_plans(scene, plans, 0.5, ["epdms_v2"], traffic="reactive")

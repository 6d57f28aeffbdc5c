"""Scores that the official devkit gives the plans of `official_world.py`: run by an interpreter that has the devkit.

`PYTHON benchmarks/official_scores.py DIR` reads DIR/navsim_logs, DIR/maps and DIR/plans.json, and writes
DIR/pdms_v1.json (NAVSIM v1.1) or DIR/epdms_v2.json (v2.2), as PYTHONPATH has it. The devkit is not changed, nothing of
navforge is imported. docs/benchmarks.md says how to set up the environment.
"""

# pyright: reportMissingImports=false

import argparse
import dataclasses
import json
import lzma
import pickle
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from navsim.common.dataclasses import Scene, SensorConfig, Trajectory
from navsim.evaluate import pdm_score as official
from navsim.planning.metric_caching.metric_cache_processor import MetricCacheProcessor
from navsim.planning.scenario_builder.navsim_scenario import NavSimScenario
from navsim.planning.simulation.planner.pdm_planner.scoring.pdm_scorer import PDMScorer, PDMScorerConfig
from navsim.planning.simulation.planner.pdm_planner.simulation.pdm_simulator import PDMSimulator
from nuplan.common.actor_state.tracked_objects_types import AGENT_TYPES
from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling

HISTORY, FUTURE = 4, 10
SAMPLING = TrajectorySampling(num_poses=40, interval_length=0.1)
PLAN_SAMPLING = TrajectorySampling(num_poses=8, interval_length=0.5)
STOPPED_MPS = 0.05
REACTIVE_PLANS = 3
"""Plans per scene that are scored in reactive traffic too."""
IDM = "planning/script/config/common/traffic_agents_policy/navsim_IDM_traffic_agents.yaml"
SUBSCORES = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "driving_direction_compliance",
    "traffic_light_compliance",
    "ego_progress",
    "time_to_collision_within_bound",
    "lane_keeping",
    "history_comfort",
    "two_frame_extended_comfort",
    "comfort",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    plans = json.loads((folder / "plans.json").read_text())
    scenes = {token: scenario_of(frames, folder / "maps") for token, frames in windows(folder) if token in plans}
    first_version = not hasattr(official, "pdm_score_from_interpolated_trajectory")
    name, results = ("pdms_v1", v1(scenes, plans)) if first_version else ("epdms_v2", v2(scenes, plans))
    rows = ",\n".join(f'"{token}": {json.dumps(result)}' for token, result in results.items())
    (folder / f"{name}.json").write_text("{\n" + rows + "\n}\n")


def windows(folder):
    """(token, frames) of every scene, log by log."""
    for log in sorted((folder / "navsim_logs").glob("*/*.pkl")):
        frames = pickle.loads(log.read_bytes())
        for first in range(len(frames) - HISTORY - FUTURE + 1):
            yield frames[first + HISTORY - 1]["token"], frames[first : first + HISTORY + FUTURE]


def scenario_of(frames, maps):
    scene = Scene.from_scene_dict_list(frames, None, HISTORY, FUTURE, SensorConfig.build_no_sensors())
    return NavSimScenario(scene, map_root=str(maps), map_version="nuplan-maps-v1.0")


def trajectory(poses):
    return Trajectory(np.array(poses), PLAN_SAMPLING)


def v1(scenes, plans):
    """Token -> what v1.1 says of the scene and of each plan."""
    simulator, scorer = PDMSimulator(SAMPLING), PDMScorer(SAMPLING, PDMScorerConfig(driving_direction_weight=0.0))
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        for token, scenario in scenes.items():
            entry = MetricCacheProcessor(scratch, True).compute_metric_cache(scenario)
            cache = pickle.loads(lzma.decompress(Path(entry.file_name).read_bytes()))
            rows = []
            for poses in plans[token]:
                row = dataclasses.asdict(official.pdm_score(cache, trajectory(poses), SAMPLING, simulator, scorer))
                rows.append({**numbers(row), **facts(scorer)})
            results[token] = {"reference": reference(cache), "plans": rows}
    return results


def v2(scenes, plans):
    """Token -> what v2.2 says of the scene and of each plan, with and without the human filter.

    v1.1 has neither of the modules imported here.
    """
    from hydra.utils import instantiate  # noqa: PLC0415
    from navsim.traffic_agents_policies.log_replay_traffic_agents import LogReplayTrafficAgents  # noqa: PLC0415
    from omegaconf import OmegaConf  # noqa: PLC0415

    caches = {token: MetricCacheProcessor(None, True, SAMPLING).compute_metric_cache(s) for token, s in scenes.items()}
    results = {
        token: {"reference": reference(cache), "human_poses": cache.human_trajectory.poses.tolist()}
        for token, cache in caches.items()
    }
    replay = LogReplayTrafficAgents(SAMPLING)
    idm = instantiate(OmegaConf.load(str(files("navsim") / IDM)).reactive, SAMPLING)
    every, some = len(next(iter(plans.values()))), REACTIVE_PLANS
    for title, policy, human_filter, count in (
        ("unfiltered", replay, False, every),
        ("log_replay", replay, True, every),
        ("reactive", idm, True, some),
    ):
        for result in results.values():
            result[title] = []
        for index in range(count):
            rows = one_planner(caches, {t: p[index] for t, p in plans.items()}, policy, human_filter)
            for token, row in rows.items():
                results[token][title].append(row)
    return results


def one_planner(caches, plans, policy, human_filter):
    """Token -> row of a result table, for a planner with one plan per scene; as in `run_pdm_score_one_stage`."""
    from navsim.planning.script import run_pdm_score_one_stage as script  # noqa: PLC0415

    simulator = PDMSimulator(SAMPLING)
    scorer = PDMScorer(SAMPLING, PDMScorerConfig(human_penalty_filter=human_filter))
    rows, seen = [], {}
    for token, cache in caches.items():
        row, states = official.pdm_score(cache, trajectory(plans[token]), SAMPLING, simulator, scorer, policy)
        seen[token] = {} if human_filter else facts(scorer)
        row["token"], row["log_name"], row["frame_type"] = token, cache.log_name, cache.scene_type
        row["start_time"], row["ego_simulated_states"] = cache.timepoint.time_s, [states]
        rows.append(row)
    table = pd.concat(rows)
    pairs = script.infer_start_adjacent_mapping(table)
    table = script.compute_final_scores(script.create_scene_aggregators(pairs, table, SAMPLING))
    return {row["token"]: {**numbers(row), **seen[row["token"]]} for row in table.to_dict("records")}


def numbers(row):
    """The sub-scores and the score of a row; None where one is undefined."""
    values = {name: float(row[name]) for name in (*SUBSCORES, "score") if name in row}
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def reference(cache):
    """Poses (51, 3) of PDM-Closed, global frame."""
    return [[s.rear_axle.x, s.rear_axle.y, s.rear_axle.heading] for s in cache.trajectory.get_sampled_trajectory()]


def facts(scorer):
    """What the scorer noted of the plan it scored last, beside PDM-Closed."""
    collision, ttc = scorer._collision_time_idcs[1], scorer._ttc_time_idcs[1]
    return {
        "progress_m": float(scorer._progress_raw[1]),
        "collision_step": -1 if np.isinf(collision) else int(collision),
        "ttc_step": -1 if np.isinf(ttc) else int(ttc),
        "met": met(scorer, None if np.isinf(collision) else int(collision)),
    }


def met(scorer, step):
    """Kinds of the objects that the ego's box meets at a step: `moving`, `stopped` or `static`."""
    if step is None:
        return []
    observation, kinds = scorer._observation, set()
    for row in observation[step].query(scorer._ego_polygons[:, step], predicate="intersects").T:
        token = observation[step].tokens[row[1]]
        if row[0] == 1 and observation.red_light_token not in token:
            thing = observation.unique_objects[token]
            speed = thing.velocity.magnitude() if thing.tracked_object_type in AGENT_TYPES else None
            kinds.add("static" if speed is None else "stopped" if speed <= STOPPED_MPS else "moving")
    return sorted(kinds)


if __name__ == "__main__":
    main()

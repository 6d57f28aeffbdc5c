"""Seconds the official devkit (NAVSIM v2.2) takes to cache, simulate and score: run by an interpreter that has it.

`PYTHON benchmarks/official_devkit.py --real DIR --vocabulary FILE --tokens T,T --plans N` prints one JSON object per
scene. PYTHON is one in whose environment `import navsim` and `import nuplan` work; that is seldom the one of navforge
(the devkit pins Python 3.9 and numpy 1.23), so `benchmarks/vocabulary.py --official PYTHON` starts it as a process of
its own. Imports nothing of navforge. NUPLAN_MAPS_ROOT must name the folder of maps.
"""

import argparse
import json
import pickle
import time
from pathlib import Path

import numpy as np
from navsim.common.dataclasses import Scene, SensorConfig, Trajectory
from navsim.evaluate import pdm_score
from navsim.planning.metric_caching.metric_cache_processor import MetricCacheProcessor
from navsim.planning.scenario_builder.navsim_scenario import NavSimScenario
from navsim.planning.simulation.planner.pdm_planner.scoring.pdm_scorer import PDMScorer, PDMScorerConfig
from navsim.planning.simulation.planner.pdm_planner.simulation.pdm_simulator import PDMSimulator
from navsim.traffic_agents_policies.log_replay_traffic_agents import LogReplayTrafficAgents
from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling

HISTORY, FUTURE = 4, 10


class _NumpyOne(pickle.Unpickler):
    """Reads arrays pickled by numpy 2 in an environment with numpy 1."""

    def find_class(self, module, name):
        return super().find_class(module.replace("numpy._core", "numpy.core"), name)


def frames_of(real: Path, tokens):
    """Token -> frame dicts of its scene."""
    found = {}
    for log in sorted((real / "navsim_logs").glob("*/*.pkl")):
        with open(log, "rb") as file:
            frames = _NumpyOne(file).load()
        for first in range(len(frames) - HISTORY - FUTURE + 1):
            token = frames[first + HISTORY - 1]["token"]
            if token in tokens:
                found[token] = frames[first : first + HISTORY + FUTURE]
    return found


def cpu(work):
    """CPU seconds of a call, and its result."""
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def measure(frames, plans, maps: Path):
    """CPU seconds of one scene: metric cache, simulation and scores of the plans."""
    sampling = TrajectorySampling(num_poses=40, interval_length=0.1)
    simulator, policy = PDMSimulator(sampling), LogReplayTrafficAgents(sampling)
    scorer = PDMScorer(sampling, PDMScorerConfig(human_penalty_filter=False))
    scene = Scene.from_scene_dict_list(frames, None, HISTORY, FUTURE, SensorConfig.build_no_sensors())
    scenario = NavSimScenario(scene, map_root=str(maps), map_version="nuplan-maps-v1.0")
    processor = MetricCacheProcessor(None, True, sampling)
    cache_s, cache = cpu(lambda: processor.compute_metric_cache(scenario))

    def interpolate():
        trajectories = [cache.trajectory]
        trajectories += [pdm_score.transform_trajectory(Trajectory(p, sampling), cache.ego_state) for p in plans]
        time_point = cache.ego_state.time_point
        return np.stack([pdm_score.get_trajectory_as_array(t, sampling, time_point) for t in trajectories])

    def score():
        tracks = policy.simulate_environment(states[1], cache)
        scorer.score_proposals(
            states,
            cache.observation,
            cache.centerline,
            cache.route_lane_ids,
            cache.drivable_area_map,
            cache.map_parameters,
            tracks,
            cache.past_human_trajectory,
        )

    interpolate_s, references = cpu(interpolate)
    simulate_s, states = cpu(lambda: simulator.simulate_proposals(references, cache.ego_state))
    score_s, _ = cpu(score)
    return {"cache_s": cache_s, "interpolate_s": interpolate_s, "simulate_s": simulate_s, "score_s": score_s}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True, help="folder with navsim_logs and maps")
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--tokens", required=True, help="scenes, separated by commas")
    parser.add_argument("--plans", type=int, default=128)
    asked = parser.parse_args()
    plans = np.load(asked.vocabulary)
    plans = plans[:: max(1, len(plans) // asked.plans)][: asked.plans].astype(np.float64)
    tokens = asked.tokens.split(",")
    scenes = frames_of(asked.real, set(tokens))
    for warm_up, token in [(True, tokens[0]), *((False, token) for token in tokens)]:
        figures = measure(scenes[token], plans[:4] if warm_up else plans, asked.real / "maps")
        if not warm_up:
            print(json.dumps({"token": token, "plans": len(plans), **figures}), flush=True)


if __name__ == "__main__":
    main()

"""PDM-Closed: the rule-based planner whose trajectory is the reference of ego progress.

It unrolls 15 proposals against a forecast, simulates and scores them with the benchmark's own engine, and takes the
best. v1.1 and v2.2 unroll the same proposals and differ in the score that chooses. (The emergency brake that ships
beside the planner is never called by it.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from navforge.data import ego_states as ego
from navforge.geometry.columns import STATE_SIZE, State
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.scene import REFERENCE_STEPS, CachedScene, RedLights
from navforge.pdm_closed.forecast import Forecast
from navforge.pdm_closed.idm import target_speeds
from navforge.pdm_closed.proposals import Proposals
from navforge.pdm_closed.route_path import RoutePath
from navforge.scoring.engine import ProposalScores, score_proposals
from navforge.scoring.prepare.scene import prepare
from navforge.simulation.plans import sample_times_us
from navforge.simulation.rollout import simulate

Float = NDArray[np.float64]

PROTOCOL = {Devkit.V1: "pdms_v1", Devkit.V2: "epdms_v2"}
"""The protocol whose score, without extended comfort, chooses among the proposals."""

_STEP_US = 100_000


@dataclass(frozen=True)
class PdmClosed:
    """What PDM-Closed plans in one scene, by `Devkit`, with its inner results."""

    chosen: dict[Devkit, int]
    """Index of the best proposal; the first of equals."""
    trajectory: Float
    """(2, 51, 3) rear axle x, y, heading at 10 Hz."""
    proposals: Proposals
    states: Float
    """(15, 41, 11) simulated proposals."""
    scores: dict[Devkit, ProposalScores]


def plan(
    scene: CachedScene, centerline: RoutePath, around: Forecast, lights: RedLights, speed_limit_mps: float | None
) -> PdmClosed:
    """Plan one scene.

    Args:
        scene: everything but the reference; objects, lights, history and the human are not looked at.
        centerline: of the corrected route.
        around: forecast of obstacles.
        lights: the lights that are red now on the corrected route, at all steps.
        speed_limit_mps: of the lane the ego starts in.
    """
    pose = scene.ego_state[: State.HEADING + 1]
    proposals = Proposals(
        centerline, around, pose, float(scene.ego_state[State.VELOCITY_X]), target_speeds(speed_limit_mps)
    )
    states = simulate(scene.ego_state, proposals.unroll())
    expected = replace(
        scene,
        history_states=np.zeros((0, STATE_SIZE)),
        objects_v1=around.tracks(Devkit.V1.observation_steps),
        objects_v2=around.tracks(Devkit.V2.observation_steps),
        red_lights=lights,
    )
    arrays, scores = None, {}
    for devkit in Devkit:
        arrays = prepare(expected, devkit, drop_overlapping=False, like=arrays)
        scores[devkit] = score_proposals(arrays, states, PROTOCOL[devkit])
    chosen = {devkit: int(np.argmax(scores[devkit].score)) for devkit in Devkit}
    driven = {proposal: ego.rear_axle(proposals.complete(proposal)) for proposal in set(chosen.values())}
    trajectory = np.stack([driven[chosen[devkit]] for devkit in Devkit])
    return PdmClosed(chosen, trajectory, proposals, states, scores)


def reference_times_us(time_us: int) -> NDArray[np.int64]:
    """(51,) times of the trajectory of a scene."""
    return time_us + _STEP_US * np.arange(REFERENCE_STEPS, dtype=np.int64)


def simulator_input(trajectory: Float, time_us: int) -> Float:
    """(41, 3) poses that the simulator tracks, from a trajectory (51, 3) of PDM-Closed.

    The devkit resamples the trajectory at seconds truncated to microseconds, so most samples come one microsecond
    before the pose they mean, and never before the first one.
    """
    times = reference_times_us(time_us)
    at = np.clip(sample_times_us(time_us), times[0], times[-1])
    return ego.rear_axle(ego.resample(trajectory, times, at))

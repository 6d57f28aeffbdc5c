"""What reactive vehicles of the official devkit do at the end of their lane, where its assertion would end the run.

`PYTHON -O benchmarks/official_free_road.py > tests/official/free_road.json`, with NAVSIM v2.2 in PYTHONPATH. `-O`
leaves assertions out; the devkit then goes on as on a free road. Some scenes of navhard's second stage meet this, and
the leaderboard's numbers rest on it. The devkit is not changed, nothing of navforge is imported.
"""

# pyright: reportMissingImports=false

import json
import math

import numpy as np
from navsim.planning.simulation.observation.navsim_idm.navsim_idm_agent_manager import NavsimIDMAgentManager
from navsim.traffic_agents_policies.navsim_IDM_traffic_agents import build_ego_state_from_simulated_ego_states
from nuplan.common.actor_state.ego_state import EgoState
from nuplan.common.actor_state.oriented_box import OrientedBox
from nuplan.common.actor_state.scene_object import SceneObjectMetadata
from nuplan.common.actor_state.state_representation import StateSE2, StateVector2D, TimePoint
from nuplan.common.actor_state.tracked_objects_types import TrackedObjectType
from nuplan.common.actor_state.vehicle_parameters import get_pacifica_parameters
from nuplan.planning.simulation.observation.idm.idm_agent import IDMAgent, IDMInitialState
from nuplan.planning.simulation.observation.idm.idm_policy import IDMPolicy
from nuplan.planning.simulation.occupancy_map.strtree_occupancy_map import STRTreeOccupancyMap
from nuplan.planning.simulation.path.utils import calculate_progress

LENGTH, WIDTH = 4.0, 2.0
ORIGIN, HEADING = np.array([664432.25, 3997651.5]), 0.7
"""Of the lane: global coordinates as large as real ones, which decides what has no length."""
STEPS = 41
TARGET_MPS = 10.0


class Lane:
    """As much of a lane as a reactive vehicle reads."""

    speed_limit_mps = None

    def __init__(self, poses):
        self.baseline_path = self
        self.discrete_path = [StateSE2(*pose) for pose in poses]


def lane_poses(last_m):
    """(V, 3) 30 segments of a metre and one of `last_m`, the one that the devkit cuts off."""
    along = np.append(np.arange(31.0), 30.0 + last_m)
    xy = ORIGIN + along[:, None] * [math.cos(HEADING), math.sin(HEADING)]
    return np.column_stack([xy, np.full(len(xy), HEADING)])


END_M = calculate_progress([StateSE2(*pose) for pose in lane_poses(1.0)])[-2]
"""Arc length at which the lane ends for the devkit."""


def pose_at(poses, progress):
    arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(poses[:, :2], axis=0).T))])
    return [float(np.interp(progress, arc, column)) for column in poses.T]


def simulate(poses, cars, ego):
    """(A, T) speeds and (A, T, 2) positions of cars (progress, speed)."""
    lane, agents, places = Lane(poses), {}, STRTreeOccupancyMap({})
    for number, (progress, speed) in enumerate(cars):
        token = f"car{number}"
        box = OrientedBox(StateSE2(*pose_at(poses, progress)), LENGTH, WIDTH, 1.5)
        start = IDMInitialState(
            metadata=SceneObjectMetadata(0, token, number, token),
            tracked_object_type=TrackedObjectType.VEHICLE,
            box=box,
            velocity=StateVector2D(speed, 0.0),
            path_progress=progress,
            predictions=None,
        )
        policy = IDMPolicy(TARGET_MPS, min_gap_to_lead_agent=1.0, headway_time=1.5, accel_max=1.0, decel_max=2.0)
        agents[token] = IDMAgent(0, start, [lane], policy, minimum_path_length=20)
        places.insert(token, box.geometry)
    manager = NavsimIDMAgentManager(agents, places, None)
    first = EgoState.build_from_rear_axle(
        StateSE2(*ego), StateVector2D(0, 0), StateVector2D(0, 0), 0.0, TimePoint(0), get_pacifica_parameters()
    )
    state = build_ego_state_from_simulated_ego_states(np.array([*ego, *[0.0] * 8]), first, TimePoint(0))
    seen = [[(a.velocity, a.to_se2()) for a in agents.values()]]
    for step in range(1, STEPS):
        manager.propagate_agents(state, 0.1, step, [], 100.0)
        seen.append([(a.velocity, a.to_se2()) for a in agents.values()])
    speed = [[float(row[n][0]) for row in seen] for n in range(len(cars))]
    xy = [[[float(row[n][1].x), float(row[n][1].y)] for row in seen] for n in range(len(cars))]
    return speed, xy


def cases():
    """Name, length of the segment that is cut off, and cars: one that comes up, and one at the end of the lane."""
    for name, last_m, progress, speed in (
        ("no length is left", 2.0, np.nextafter(END_M, 0.0), 0.5),
        ("none, and it has stopped", 2.0, np.nextafter(END_M, 0.0), 0.0),
        ("some nanometres are left", 2.0, END_M - 1e-8, 0.5),
        ("the last segment stands for the rest", 2.0, END_M, 0.5),
        ("beyond the end", 6.0, END_M + 6.0, 0.5),
        ("beyond the end, and it has stopped", 6.0, END_M + 6.0, 0.0),
    ):
        yield name, last_m, [[22.0, 8.0], [float(progress), speed]]


def main():
    if __debug__:
        raise SystemExit("run this with python -O: the devkit's assertion would end it")
    rows = []
    ego = [ORIGIN[0] + 5.0, ORIGIN[1] - 40.0, 0.0]
    for name, last_m, cars in cases():
        poses = lane_poses(last_m)
        speed, xy = simulate(poses, cars, ego)
        rows.append({"case": name, "lane": poses.tolist(), "cars": cars, "ego": ego, "speed": speed, "xy": xy})
    print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")


if __name__ == "__main__":
    main()

"""One drive through a town: cast, simulation, and the stretch of it that becomes a log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.town.actors import Cast, assemble
from navforge.town.kernels import boxes_overlap
from navforge.town.lane_changes import LaneChanger
from navforge.town.lights import Lights
from navforge.town.paths import SPACING_M, DrivingLine, LaneGraph
from navforge.town.right_of_way import RightOfWay, crossing_pairs
from navforge.town.traffic import EGO, STEP_S, Traffic
from navforge.town.world import ActorKind, Actors, Light, Snapshot, TownMap

Float = NDArray[np.float64]

FRAME_S = 0.5
TOUCH_M = 0.12
STEPS_PER_FRAME = round(FRAME_S / STEP_S)
PERSON_HEIGHT_M = 1.75
BRAKE_LIGHT_MPS2 = -0.6


@dataclass(frozen=True, slots=True)
class Stage:
    """What all episodes of one town share."""

    town: TownMap
    graph: LaneGraph
    crossing: dict[int, frozenset[int]]

    @staticmethod
    def of(town: TownMap) -> Stage:
        """Prepare a town."""
        return Stage(town, LaneGraph(town), crossing_pairs(town))


@dataclass(frozen=True, slots=True)
class Take:
    """One frame of an episode."""

    time: float
    snapshot: Snapshot
    s: float
    """Ego's arc length on its line."""
    yaw_rate: float


@dataclass(frozen=True, slots=True)
class Episode:
    """A whole drive at 2 Hz, with ego's motion at 10 Hz."""

    takes: list[Take]
    line: DrivingLine
    ego: Float
    """(T, 6) at 10 Hz: x, y, heading, speed, acceleration, arc length."""
    touched: NDArray[np.bool_]
    """(T,) ego's box comes closer than `TOUCH_M` to another."""
    hindered: NDArray[np.bool_]
    """(T,) something on the road, not just the road itself, keeps ego from driving on freely."""


def play(stage: Stage, seed: tuple[int, ...], duration_s: float) -> Episode:
    """Simulate one episode; the same seed gives the same episode."""
    rng = np.random.default_rng([*seed, 7])
    cast = assemble(stage.town, stage.graph, rng)
    lights = Lights(stage.town, np.random.default_rng([*seed, 8]))
    gate_roadblock = {c.fid: stage.town.lanes[c.from_lane].roadblock for c in stage.town.connectors.values()}
    stills = np.array([still.box for still in cast.stills]).reshape(-1, 5)
    traffic = Traffic(
        cast.drivers,
        cast.pedestrians,
        lights,
        RightOfWay(stage.crossing),
        stills,
        gate_roadblock,
        LaneChanger(stage.graph, stills, np.random.default_rng([*seed, 10])),
        np.random.default_rng([*seed, 9]),
    )
    takes, motion, touched, hindered = [], [], [], []
    for step in range(round(duration_s / STEP_S) + 1):
        if step:
            traffic.step()
        ego = traffic.drivers[EGO]
        if ego.front > ego.line.length - 60.0:
            break
        poses = traffic.poses()
        boxes = traffic.boxes(poses)
        motion.append([*poses[EGO], ego.v, ego.a, ego.s])
        people, _ = cast.pedestrians.crosser_boxes()
        present = np.array([not driver.gone for driver in traffic.drivers])[1:]
        around = np.concatenate([boxes[1:][present], stills, people])
        touched.append(bool(boxes_overlap(boxes[EGO], around, TOUCH_M).any()))
        hindered.append(traffic.ego_hindered)
        if step % STEPS_PER_FRAME == 0:
            takes.append(_take(traffic, cast, poses, boxes, step * STEP_S))
    return Episode(takes, cast.drivers[EGO].line, np.array(motion), np.array(touched), np.array(hindered))


def _take(traffic: Traffic, cast: Cast, poses: Float, boxes: Float, time: float) -> Take:
    ego = traffic.drivers[EGO]
    place = min(int(ego.s / SPACING_M), len(ego.line.pose) - 2)
    bend = float(ego.line.pose[place + 1, 2] - ego.line.pose[place, 2]) / SPACING_M
    yaw_rate = ego.v * bend
    snapshot = Snapshot(
        time_us=0,
        ego_pose=poses[EGO].copy(),
        ego_velocity=np.array([ego.v, 0.0]),
        ego_acceleration=np.array([ego.a, ego.v * yaw_rate]),
        actors=_actors(traffic, cast, poses, boxes),
        lights={connector: Light(state) for connector, state in sorted(traffic.lights.state.items())},
    )
    return Take(time, snapshot, ego.s, yaw_rate)


def _actors(traffic: Traffic, cast: Cast, poses: Float, boxes: Float) -> Actors:
    """Drivers (ego left out), then things that stand still, then people; track numbers follow that order."""
    people, walk = cast.pedestrians.boxes()
    count = len(traffic.drivers) - 1 + len(cast.stills)
    movers = [(n, driver) for n, driver in enumerate(traffic.drivers) if n != EGO and not driver.gone]
    rows, velocity, kind, track, colour, braking = [], [], [], [], [], []
    for n, driver in movers:
        x, y, heading, length, width = boxes[n]
        rows.append([x, y, driver.height / 2, length, width, driver.height, heading])
        velocity.append(driver.v * np.array([np.cos(poses[n, 2]), np.sin(poses[n, 2])]))
        kind.append(driver.kind)
        track.append(n - 1)
        colour.append(driver.colour)
        braking.append(driver.a < BRAKE_LIGHT_MPS2 or driver.v < 0.1)
    for n, still in enumerate(cast.stills):
        x, y, heading, length, width = still.box
        rows.append([x, y, still.height / 2, length, width, still.height, heading])
        velocity.append(np.zeros(2))
        kind.append(still.kind)
        track.append(len(traffic.drivers) - 1 + n)
        colour.append(still.colour)
        braking.append(False)
    colours = [person.colour for person in (*cast.pedestrians.walkers, *cast.pedestrians.crossers)]
    for n, (box, speed) in enumerate(zip(people, walk, strict=True)):
        rows.append([box[0], box[1], PERSON_HEIGHT_M / 2, box[3], box[4], PERSON_HEIGHT_M, box[2]])
        velocity.append(speed)
        kind.append(ActorKind.PEDESTRIAN)
        track.append(count + n)
        colour.append(colours[n])
        braking.append(False)
    return Actors(
        box=np.array(rows).reshape(-1, 7),
        velocity=np.array(velocity).reshape(-1, 2),
        kind=np.array(kind, dtype=np.uint8),
        track=np.array(track, dtype=np.int64),
        colour=np.array(colour, dtype=np.int64),
        braking=np.array(braking, dtype=bool),
    )

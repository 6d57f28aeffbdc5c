"""From an episode to a log: smooth ego motion, checks that the drive was good, and the stretch worth keeping."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from navforge.geometry.columns import Command
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.town.episode import FRAME_S, STEPS_PER_FRAME, Episode, Stage, Take
from navforge.town.kernels import boxes_overlap
from navforge.town.log_file import FrameContent
from navforge.town.paths import SPACING_M, DrivingLine, box_corners
from navforge.town.traffic import STEP_S
from navforge.town.world import ActorBox, Actors, Snapshot, TownMap, Turn

Float = NDArray[np.float64]

HISTORY, FUTURE = 4, 10
"""Frames of a scene up to its current one, and after it."""
HORIZON_S = 4.0
SMOOTHING_S = 0.35
WARM_UP_S = 4.0
JITTER_US = 350
COMMAND_AHEAD_M = 28.0
TURN_RAD = float(np.radians(25.0))
LAGGING_COST = 0.4
"""What falling behind costs at most, where leaving the road or a collision costs 1."""


@dataclass(frozen=True, slots=True)
class EgoMotion:
    """Ego's smooth motion along its line at 10 Hz, evaluable at any time."""

    s: CubicSpline
    pose: CubicSpline
    """x, y, heading over arc length."""

    @staticmethod
    def of(episode: Episode) -> EgoMotion:
        """Smooth the simulated motion in time; poses stay on the driving line."""
        s, v = episode.ego[:, 5], episode.ego[:, 3]
        edge = np.arange(1, round(4 * SMOOTHING_S / STEP_S) + 2) * STEP_S
        extended = np.concatenate([s[0] - v[0] * edge[::-1], s, s[-1] + v[-1] * edge])
        s = gaussian_filter1d(extended, SMOOTHING_S / STEP_S)[len(edge) : -len(edge)]
        times = np.arange(len(s)) * STEP_S
        return EgoMotion(CubicSpline(times, s), _spline(episode.line))

    def at(self, time: Float) -> tuple[Float, Float, Float, Float]:
        """Poses (T, 3), speed, acceleration and yaw rate (T,) at times in s."""
        s = self.s(time)
        v = np.maximum(self.s(time, 1), 0.0)
        return self.pose(s), v, self.s(time, 2), v * self.pose(s, 1)[:, 2]


def _spline(line: DrivingLine) -> CubicSpline:
    return CubicSpline(np.arange(len(line.pose)) * SPACING_M, line.pose)


@dataclass(frozen=True, slots=True)
class Limits:
    """What ego may do in a log that is kept; well inside the benchmark's comfort limits."""

    longitudinal: tuple[float, float] = (-3.6, 2.3)
    lateral: float = 4.2
    jerk: float = 3.6
    yaw_rate: float = 0.85
    yaw_acceleration: float = 1.6


@dataclass(frozen=True, slots=True)
class LogCut:
    """The kept stretch of an episode."""

    frames: list[FrameContent]
    eventful: float
    """Mean over its scenes of what driving on with constant velocity would cost, 0 to 1."""
    turns: int
    stops: int
    conflicts: int
    """Scenes with a turn, with standing, with something on the road that makes ego brake or swerve."""
    scenes: int


def drivable_area(town: TownMap) -> shapely.Geometry:
    """Union of everything vehicles may drive on, prepared for queries."""
    rings = [block.polygon for block in town.roadblocks.values()]
    rings += [area.polygon for area in town.intersections.values()]
    rings += [park.polygon for park in town.carparks]
    area = shapely.union_all([shapely.Polygon(ring) for ring in rings], grid_size=1e-6)
    shapely.prepare(area)
    return area


def cut_log(
    stage: Stage,
    drivable: shapely.Geometry,
    episode: Episode,
    count: int,
    least_eventful: float,
    least_turning: float,
    rng: np.random.Generator,
    start_us: int,
) -> LogCut | None:
    """The most eventful good stretch of `count` frames; None if there is none.

    Args:
        stage: the town.
        drivable: its drivable area.
        episode: the whole drive.
        count: frames of the log.
        least_eventful: stretches with less happening are refused.
        least_turning: stretches with a smaller share of turning scenes are refused.
        rng: of time stamp jitter and of choices between equal stretches.
        start_us: time stamp of the episode's begin.
    """
    motion = EgoMotion.of(episode)
    good = _good(episode, motion, drivable, Limits())
    first_step = np.arange(round(WARM_UP_S / FRAME_S), len(episode.takes) - count + 1) * STEPS_PER_FRAME
    span = (count - 1) * STEPS_PER_FRAME + 1
    starts = [int(step) for step in first_step if step + span <= len(good) and good[step : step + span].all()]
    if not starts:
        return None
    loss, still = _blind_loss(episode, motion, drivable)
    offsets = np.arange(HISTORY - 1, count - FUTURE) * STEPS_PER_FRAME
    worth = loss - 0.8 * still
    value = np.array([worth[(start + offsets) // STEPS_PER_FRAME].mean() for start in starts])
    turning = _turning(motion, len(episode.takes))
    turns = np.array([turning[(start + offsets) // STEPS_PER_FRAME].mean() for start in starts])
    value[(value < least_eventful) | (turns < least_turning)] = -np.inf
    best = int(np.argmax(value + 0.3 * turns + rng.uniform(0.0, 0.04, len(value))))
    if not np.isfinite(value[best]):
        return None
    start = starts[best]
    frames = _frames(episode, motion, start // STEPS_PER_FRAME, count, rng, start_us)
    return _described(frames, episode, motion, start, offsets, float(value[best]))


def _good(episode: Episode, motion: EgoMotion, drivable: shapely.Geometry, limits: Limits) -> NDArray[np.bool_]:
    times = np.arange(len(episode.ego), dtype=np.float64) * STEP_S
    pose, v, a, yaw_rate = motion.at(times)
    lateral = v * yaw_rate
    jerk = np.gradient(a, STEP_S)
    low, high = limits.longitudinal
    checks = [
        ~episode.touched,
        a > low,
        a < high,
        np.abs(lateral) < limits.lateral,
        np.abs(jerk) < limits.jerk,
        np.abs(yaw_rate) < limits.yaw_rate,
        np.abs(np.gradient(yaw_rate, STEP_S)) < limits.yaw_acceleration,
        _inside(pose, drivable),
    ]
    return np.asarray(np.stack(checks).all(axis=0))


def _inside(pose: Float, drivable: shapely.Geometry) -> NDArray[np.bool_]:
    ahead = REAR_AXLE_TO_CENTER_M * np.stack([np.cos(pose[:, 2]), np.sin(pose[:, 2])], axis=1)
    boxes = np.column_stack(
        [pose[:, :2] + ahead, pose[:, 2], np.full(len(pose), EGO_LENGTH_M + 0.1), np.full(len(pose), EGO_WIDTH_M + 0.2)]
    )
    corners = np.stack([box_corners(box) for box in boxes])
    inside = np.asarray(shapely.contains_xy(drivable, corners[..., 0], corners[..., 1]))
    return np.asarray(inside.all(axis=1))


def _blind_loss(episode: Episode, motion: EgoMotion, drivable: shapely.Geometry) -> tuple[Float, NDArray[np.bool_]]:
    """Per frame what driving on blindly with constant velocity costs (0 to 1), and whether ego stands and stays.

    Leaving the road or hitting something within `HORIZON_S` costs everything, falling behind ego a part.
    """
    takes, steps = episode.takes, round(HORIZON_S / FRAME_S)
    times = np.array([take.time for take in takes])
    pose, v, _, _ = motion.at(times)
    loss, still = np.zeros(len(takes)), np.zeros(len(takes), bool)
    ahead = np.arange(1, steps + 1) * FRAME_S
    for n in range(len(takes) - steps):
        moved = float(np.hypot(*(pose[n + steps, :2] - pose[n, :2])))
        still[n] = moved < 1.0
        blind = np.tile(pose[n], (steps, 1))
        blind[:, :2] += v[n] * ahead[:, None] * [np.cos(pose[n, 2]), np.sin(pose[n, 2])]
        if not _inside(blind, drivable).all() or _hits(blind, takes, n):
            loss[n] = 1.0
        else:
            loss[n] = LAGGING_COST * max(0.0, 1.0 - v[n] * HORIZON_S / max(moved, 5.0)) if moved > 5.0 else 0.0
    return loss, still


def _turning(motion: EgoMotion, count: int) -> NDArray[np.bool_]:
    """(count,) per frame whether ego turns within the next `HORIZON_S`."""
    heading = motion.at(np.arange(count, dtype=np.float64) * FRAME_S)[0][:, 2]
    steps = round(HORIZON_S / FRAME_S)
    return np.array([np.ptp(heading[n : n + steps + 1]) > TURN_RAD for n in range(count)])


def _hits(blind: Float, takes: list[Take], n: int) -> bool:
    """Whether ego's boxes at `blind` poses, one per frame after frame n, overlap an actor it did not overlap then."""
    middle = REAR_AXLE_TO_CENTER_M * np.stack([np.cos(blind[:, 2]), np.sin(blind[:, 2])], axis=1)
    for k in range(len(blind)):
        box = np.array([*(blind[k, :2] + middle[k]), blind[k, 2], EGO_LENGTH_M, EGO_WIDTH_M])
        actors = takes[n + k + 1].snapshot.actors.box
        if boxes_overlap(box, np.ascontiguousarray(actors[:, _FLAT]), 0.0).any():
            return True
    return False


_FLAT = [ActorBox.X, ActorBox.Y, ActorBox.HEADING, ActorBox.LENGTH, ActorBox.WIDTH]


def _frames(
    episode: Episode, motion: EgoMotion, first: int, count: int, rng: np.random.Generator, start_us: int
) -> list[FrameContent]:
    frames = []
    for take in episode.takes[first : first + count]:
        jitter = int(rng.integers(-JITTER_US, JITTER_US + 1))
        late = jitter * 1e-6
        pose, v, a, yaw_rate = (value[0] for value in motion.at(np.array([take.time + late])))
        snapshot = Snapshot(
            time_us=start_us + round(take.time * 1e6) + jitter,
            ego_pose=pose,
            ego_velocity=np.array([v, 0.0]),
            ego_acceleration=np.array([a, v * yaw_rate]),
            actors=_advanced(take.snapshot.actors, late),
            lights=take.snapshot.lights,
        )
        s = float(motion.s(take.time + late))
        frames.append(FrameContent(snapshot, float(yaw_rate), _route(episode.line, s), _command(episode.line, s)))
    return frames


def _advanced(actors: Actors, late: float) -> Actors:
    box = actors.box.copy()
    box[:, :2] += late * actors.velocity
    return dataclasses.replace(actors, box=box)


def _route(line: DrivingLine, s: float) -> tuple[int, ...]:
    return tuple(span.roadblock for span in line.spans if span.end > s)


def _command(line: DrivingLine, s: float) -> Command:
    """The next turn within `COMMAND_AHEAD_M`, or the one being driven."""
    for span in line.spans:
        turning = span.turn is not None and span.turn != Turn.STRAIGHT
        if turning and span.end > s + 2.0 and span.start < s + COMMAND_AHEAD_M:
            return Command(int(span.turn or 0))
    return Command.STRAIGHT


def _described(
    frames: list[FrameContent],
    episode: Episode,
    motion: EgoMotion,
    start: int,
    offsets: NDArray[np.int64],
    value: float,
) -> LogCut:
    turns = stops = conflicts = 0
    horizon = round(HORIZON_S / STEP_S)
    for offset in offsets:
        times = (start + offset + np.arange(horizon + 1)) * STEP_S
        pose, v, _, _ = motion.at(times)
        turns += bool(np.ptp(pose[:, 2]) > TURN_RAD)
        stops += bool(v.min() < 0.3)
        conflicts += bool(episode.hindered[start + offset : start + offset + horizon + 1].any())
    return LogCut(frames, value, turns, stops, conflicts, len(offsets))

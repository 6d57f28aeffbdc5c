"""Reactive traffic: vehicles around the ego keep their distance to it and to each other (NAVSIM v2.2's IDM agents).

Of the vehicles in the current frame those on a lane follow it to its end, as fast as the lane allows and no closer than
the intelligent driver model lets them; parked ones beside the lanes stand; all others vanish. Everything else is
replayed as logged. Where the policy looks odd it is the devkit's, whose result is matched:

- A vehicle never leaves the lane it starts on; the lane ends one vertex early, and its end is like a wall.
- Red lights, pedestrians and parked vehicles are not seen.
- The ego's rear axle is taken for the middle of its box.
- Gaps are measured between areas that reach 1.5 s ahead, so that vehicles whose areas overlap have a gap of 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE, State
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.reactive import ReactiveStart
from navforge.metric_cache.scene import SCORED_STEPS, CachedScene
from navforge.metric_cache.tracks import ObjectTracks
from navforge.simulation.kernels.reactive import Followers, react
from navforge.simulation.kernels.standing import standing_free
from navforge.simulation.kernels.stretch import Lanes, lane_areas

Float = NDArray[np.float64]

SAME_POINT_M = 1e-8
"""Vertices no further than this before the next one are left out of a lane."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReactiveScene:
    """What reactive traffic needs of a scene, whatever the ego plans."""

    token: str
    followers: Followers
    lanes: Lanes
    """Areas of the followers' lanes about the ego's current position."""
    replayed: ObjectTracks
    """All objects: the current frame at step 0, and everything but vehicles as logged at the steps after it. The first
    rows are the objects of the current frame."""
    follower: NDArray[np.int32]
    """(A,) row of each follower in `replayed`."""
    standing: NDArray[np.int32]
    """(S,) row of each vehicle that stands."""


def prepare_reactive(scene: CachedScene) -> ReactiveScene:
    """Make a scene ready for `simulate_traffic`.

    Raises:
        DataError: the scene was not cached with what reactive traffic starts from.
    """
    start = scene.reactive
    if start is None:
        raise DataError(
            f"scene {scene.token} of log {scene.log_name} holds no start of reactive traffic; build its metric cache "
            "with navforge cache"
        )
    followers = followers_of(start)
    origin = scene.ego_state[: State.HEADING].copy()
    return ReactiveScene(
        token=scene.token,
        followers=followers,
        lanes=lane_areas(followers.lane, followers.start, followers.half_width, origin),
        replayed=_replayed(start, scene.objects_v2),
        follower=start.follower,
        standing=start.standing,
    )


def simulate_traffic(reactive: ReactiveScene, states: Float) -> ObjectTracks:
    """All objects of a scene while the ego drives one plan.

    Args:
        reactive: `prepare_reactive` of the scene.
        states: (41, 11) simulated states of the ego, global frame (`simulation.rollout.simulate`).

    Returns:
        (O, 41) tracks in the global frame. The current frame is as logged.

    Raises:
        DataError: wrong shape, or a state that is not finite.
    """
    states = np.ascontiguousarray(states, dtype=np.float64)
    if states.shape != (SCORED_STEPS, STATE_SIZE) or not np.isfinite(states).all():
        raise DataError(f"the ego's states must be ({SCORED_STEPS}, {STATE_SIZE}) finite numbers, got {states.shape}")
    return _with_vehicles(reactive, *react(reactive.followers, reactive.lanes, states))


def followers_of(start: ReactiveStart) -> Followers:
    """The followers with their lanes as the devkit drives on them.

    A vertex that the next one repeats is left out, and so is the last one, which has no next; a lane always keeps one.
    """
    lanes, arcs = [], []
    for lane in start.lane:
        poses = start.path[start.path_start[lane] : start.path_start[lane + 1]]
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(poses[:, :2], axis=0).T))])
        kept = np.flatnonzero(np.diff(arc) > SAME_POINT_M)
        if not len(kept):
            kept = np.zeros(1, dtype=np.int64)
        poses = poses[kept].copy()
        poses[:, 2] = np.unwrap(poses[:, 2])
        lanes.append(poses)
        arcs.append(arc[kept])
    extent = start.current.extent[start.follower]
    return Followers(
        lane=np.concatenate(lanes) if lanes else np.empty((0, 3)),
        arc=np.concatenate(arcs) if arcs else np.empty(0),
        start=np.cumsum([0, *map(len, lanes)], dtype=np.int64),
        progress=np.array(start.progress_m, dtype=np.float64),
        speed=np.array(start.speed_mps, dtype=np.float64),
        target=np.array(start.target_speed_mps, dtype=np.float64),
        half_length=np.ascontiguousarray(0.5 * extent[:, 0]),
        half_width=np.ascontiguousarray(0.5 * extent[:, 1]),
        pose=np.array(start.start_pose, dtype=np.float64),
    )


def _replayed(start: ReactiveStart, logged: ObjectTracks) -> ObjectTracks:
    """The current frame at step 0 and, from step 1 on, everything but vehicles as logged."""
    current = start.current
    now = len(current.token)
    row_of = {token: row for row, token in reversed(list(enumerate(current.token.tolist())))}
    others = np.flatnonzero(logged.type != ObjectType.VEHICLE)
    target = np.empty(len(others), dtype=np.int64)
    count = now
    for n, token in enumerate(logged.token[others].tolist()):
        target[n] = row_of.get(token, count)
        count += token not in row_of
    later = target >= now
    new = others[later]
    pose = np.zeros((count, SCORED_STEPS, 3))
    velocity = np.zeros((count, SCORED_STEPS, 2))
    valid = np.zeros((count, SCORED_STEPS), dtype=np.bool_)
    pose[target, 1:] = logged.pose[others, 1:]
    velocity[target, 1:] = logged.velocity[others, 1:]
    valid[target, 1:] = logged.valid[others, 1:]
    pose[:now, 0] = current.pose
    velocity[:now, 0] = current.velocity
    valid[:now, 0] = True
    return ObjectTracks(
        token=np.concatenate([current.token, logged.token[new]]),
        type=np.concatenate([current.type, logged.type[new]]),
        extent=np.concatenate([current.extent, logged.extent[new]]),
        pose=pose,
        velocity=velocity,
        valid=valid,
        first_heading=np.concatenate([current.pose[:, 2], logged.first_heading[new]]),
        first_velocity=np.concatenate([current.velocity, logged.first_velocity[new]]),
    )


def _with_vehicles(
    reactive: ReactiveScene, follower_pose: Float, speed: Float, present: NDArray[np.bool_]
) -> ObjectTracks:
    """The tracks with followers and standing vehicles at the steps after the current one."""
    replayed, follower, standing = reactive.replayed, reactive.follower, reactive.standing
    pose, velocity, valid = replayed.pose.copy(), replayed.velocity.copy(), replayed.valid.copy()
    pose[follower, 1:] = follower_pose[:, 1:]
    heading = follower_pose[:, 1:, 2]
    velocity[follower, 1:] = (speed[:, 1:] * np.stack([np.cos(heading), np.sin(heading)])).transpose(1, 2, 0)
    valid[follower, 1:] = present[:, 1:]
    pose[standing, 1:] = pose[standing, :1]
    velocity[standing, 1:] = velocity[standing, :1]
    valid[standing, 1:] = _shown(reactive, pose, present)
    return ObjectTracks(
        token=replayed.token,
        type=replayed.type,
        extent=replayed.extent,
        pose=pose,
        velocity=velocity,
        valid=valid,
        first_heading=replayed.first_heading,
        first_velocity=replayed.first_velocity,
    )


def _shown(reactive: ReactiveScene, pose: Float, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(S, 40) at which steps a standing vehicle has its place to itself."""
    rows = np.concatenate([reactive.follower, reactive.standing])
    boxes = pose[rows, 1:].transpose(2, 1, 0) - np.array([*reactive.lanes.origin, 0.0])[:, None, None]
    x, y, heading = (np.ascontiguousarray(part) for part in boxes)
    half = 0.5 * reactive.replayed.extent[rows]
    shown = np.empty((len(reactive.standing), SCORED_STEPS - 1), dtype=np.bool_)
    standing_free(
        x, y, heading, np.ascontiguousarray(half[:, 0]), np.ascontiguousarray(half[:, 1]),
        len(reactive.follower), np.ascontiguousarray(present[:, 1:]), shown,
    )  # fmt: skip
    return shown

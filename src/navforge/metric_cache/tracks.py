"""Objects of 2 Hz key frames interpolated to 10 Hz as the devkit does (`_interpolate_gt_observation`).

An object seen once exists at all steps; one with gaps is interpolated linearly across them; size and class come from
its first sighting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.metric_cache.ragged import slices
from navforge.metric_cache.scene import Devkit, ObjectTracks

Float = NDArray[np.float64]

FRAME_INTERVAL_S = 0.5
STEP_S = 0.1
_NEAR_MARGIN_M = 0.1


@dataclass(frozen=True, slots=True)
class FrameObjects:
    """Objects of one frame in the global frame, sorted by class, then in log order (as nuPlan sorts them)."""

    token: NDArray[np.str_]
    """(O,) track tokens."""
    type: NDArray[np.uint8]
    """(O,) `ObjectType`."""
    extent: Float
    """(O, 2) length, width."""
    pose: Float
    """(O, 3) box centre x, y, heading in [-pi, pi]."""
    velocity: Float
    """(O, 2) vx, vy; 0 for static classes."""

    def __getitem__(self, rows: NDArray[Any]) -> FrameObjects:
        """The objects of some rows (indices or mask)."""
        return FrameObjects(self.token[rows], self.type[rows], self.extent[rows], self.pose[rows], self.velocity[rows])


@dataclass(frozen=True, slots=True)
class ObjectFrames:
    """Sightings of objects in the current and the future key frames, sorted by object, then time."""

    token: NDArray[np.str_]
    """(O,) track token, in order of first sighting (within a frame by class)."""
    type: NDArray[np.uint8]
    """(O,) `ObjectType` of the first sighting."""
    extent: Float
    """(O, 2) length, width of the first sighting."""
    start: NDArray[np.int64]
    """(O + 1,) object o has sightings `start[o]:start[o + 1]`."""
    frame: NDArray[np.uint8]
    """(N,) key frame of a sighting; 0 is the current frame, one is 0.5 s later than the one before."""
    pose: Float
    """(N, 3) box centre x, y, heading in [-pi, pi], global frame."""
    velocity: Float
    """(N, 2) vx, vy in the global frame; 0 for static classes."""
    frames: int
    """Number of key frames there are."""

    def near(self, bounds: Float) -> ObjectFrames:
        """Objects whose box may meet bounds at some time, between sightings included.

        Args:
            bounds: (4,) low x, low y, high x, high y, global frame.
        """
        rows = _near(self.start, self.pose, self.extent, bounds)
        _, sighting = slices(self.start, rows)
        return ObjectFrames(
            token=self.token[rows],
            type=self.type[rows],
            extent=self.extent[rows],
            start=np.cumsum(np.append(0, self.start[rows + 1] - self.start[rows])),
            frame=self.frame[sighting],
            pose=self.pose[sighting],
            velocity=self.velocity[sighting],
            frames=self.frames,
        )


def sightings(frames: Sequence[FrameObjects]) -> ObjectFrames:
    """Objects of the current and the future key frames.

    Args:
        frames: the current frame first, then every 0.5 s.
    """
    names = np.concatenate([frame.token for frame in frames])
    token, track = np.unique(names, return_inverse=True)
    return grouped(
        token=token,
        track=track,
        number=np.repeat(np.arange(len(frames)), [len(frame.token) for frame in frames]),
        rows=np.arange(len(names)),
        table=FrameObjects(
            token=names,
            type=np.concatenate([frame.type for frame in frames]),
            extent=np.concatenate([frame.extent for frame in frames]),
            pose=np.concatenate([frame.pose for frame in frames]),
            velocity=np.concatenate([frame.velocity for frame in frames]),
        ),
        frames=len(frames),
    )


def grouped(
    *, token: NDArray[Any], track: NDArray[Any], number: NDArray[Any], rows: NDArray[Any], table: FrameObjects,
    frames: int,
) -> ObjectFrames:  # fmt: skip
    """Sightings by object.

    Args:
        token: (K,) token of each track that may occur, text or bytes.
        track: (N,) track of each sighting, in time order.
        number: (N,) its key frame.
        rows: (N,) its row in `table`.
        table: where sightings are described; its tokens are not read.
        frames: number of key frames.
    """
    first, order, start = _group(track, len(token))
    seen_first, ordered = rows[first], rows[order]
    return ObjectFrames(
        token=token[track[first]].astype(np.str_, copy=False),
        type=table.type[seen_first],
        extent=table.extent[seen_first],
        start=start,
        frame=number[order].astype(np.uint8, copy=False),
        pose=table.pose[ordered],
        velocity=table.velocity[ordered],
        frames=frames,
    )


def interpolate(seen: ObjectFrames, devkit: Devkit) -> ObjectTracks:
    """Tracks at 10 Hz from the key frames that a devkit release reads (its observation horizon).

    Objects are ordered by the first step that has them, then by class, then by first sighting.

    Raises:
        DataError: a track occurs twice in the first key frame that has it and again later, so that its position
            between the two is undefined (the devkit fails then, too).
    """
    steps = devkit.observation_steps
    horizon = last_frame(devkit)
    if seen.frames <= horizon:
        raise ValueError(f"{horizon + 1} key frames are needed, there are {seen.frames}")
    _refuse_doubled_starts(seen, horizon)
    times, horizon_s = seen.frame * FRAME_INTERVAL_S, horizon * FRAME_INTERVAL_S
    first_step = _first_steps(seen.start, times, horizon_s, steps)
    kept = np.flatnonzero(first_step >= 0)
    order = kept[np.lexsort((kept, seen.type[kept], first_step[kept]))]
    count = len(order)
    pose = np.zeros((count, steps, 3))
    velocity = np.zeros((count, steps, 2))
    valid = np.zeros((count, steps), np.bool_)
    _interpolate(order, seen.start, times, seen.pose, seen.velocity, horizon_s, pose, velocity, valid)
    first = (np.arange(count), first_step[order])
    return ObjectTracks(
        token=seen.token[order],
        type=seen.type[order],
        extent=seen.extent[order],
        pose=pose,
        velocity=velocity,
        valid=valid,
        first_heading=pose[..., 2][first],
        first_velocity=velocity[first],
    )


def last_frame(devkit: Devkit) -> int:
    """The last key frame that a release reads; 0 is the current one."""
    return round((devkit.observation_steps - 1) * STEP_S / FRAME_INTERVAL_S)


def _refuse_doubled_starts(seen: ObjectFrames, horizon: int) -> None:
    track = _doubled_start(seen.start, seen.frame, horizon)
    if track >= 0:
        raise DataError(
            f"track {seen.token[track]} occurs twice in key frame {seen.frame[seen.start[track]]} after the current "
            "one, where it is first seen; track tokens must be unique within a frame"
        )


@njit(cache=True)
def _group(track, count):
    """First sighting of each object in order of appearance, sightings by object, and where each object's start."""
    rank = np.full(count, -1, np.int64)
    first = np.empty(min(count, len(track)), np.int64)
    lengths = np.zeros(len(first) + 1, np.int64)
    objects = 0
    for i in range(len(track)):
        if rank[track[i]] < 0:
            rank[track[i]] = objects
            first[objects] = i
            objects += 1
        lengths[rank[track[i]] + 1] += 1
    start = np.cumsum(lengths[: objects + 1])
    cursor = start.copy()
    order = np.empty(len(track), np.int64)
    for i in range(len(track)):
        o = rank[track[i]]
        order[cursor[o]] = i
        cursor[o] += 1
    return first[:objects], order, start


@njit(cache=True)
def _near(start, pose, extent, bounds):
    """Objects that are, with their size, not beyond one and the same side of `bounds` in all sightings."""
    rows = np.empty(len(start) - 1, np.int64)
    count = 0
    for o in range(len(rows)):
        radius = 0.5 * (extent[o, 0] + extent[o, 1]) + _NEAR_MARGIN_M
        left = below = right = above = True
        for i in range(start[o], start[o + 1]):
            left &= pose[i, 0] + radius < bounds[0]
            below &= pose[i, 1] + radius < bounds[1]
            right &= pose[i, 0] - radius > bounds[2]
            above &= pose[i, 1] - radius > bounds[3]
        if not (left or below or right or above):
            rows[count] = o
            count += 1
    return rows[:count]


@njit(cache=True)
def _doubled_start(start, frame, horizon):
    """The first object whose first key frame holds it twice, and which a later one up to `horizon` holds; or -1."""
    for o in range(len(start) - 1):
        low = start[o]
        if start[o + 1] - low > 1 and frame[low] == frame[low + 1]:
            for i in range(low, start[o + 1]):
                if frame[low] < frame[i] <= horizon:
                    return o
    return -1


@njit(cache=True)
def _seen_until(start, time, horizon, o):
    """End of the sightings of object o up to a time."""
    high = start[o]
    while high < start[o + 1] and time[high] <= horizon:
        high += 1
    return high


@njit(cache=True)
def _first_steps(start, time, horizon, steps):
    """First step of each object; -1 where no key frame up to the horizon has it."""
    out = np.full(len(start) - 1, -1, np.int64)
    for o in range(len(start) - 1):
        low = start[o]
        high = _seen_until(start, time, horizon, o)
        if high == low:
            continue
        out[o] = 0
        if time[low] == time[high - 1]:
            continue
        for k in range(steps):
            if time[low] <= k * 0.1 <= time[high - 1]:
                out[o] = k
                break
    return out


@njit(cache=True)
def _interpolate(order, start, time, pose, velocity, horizon, out_pose, out_velocity, valid):
    """Linear interpolation as scipy's `interp1d` and numpy's `unwrap` do it; fills the `out` arrays in place."""
    for row in range(len(order)):
        low = start[order[row]]
        high = _seen_until(start, time, horizon, order[row])
        n = high - low
        heading = _unwrap(pose[low:high, 2])
        once = time[low] == time[high - 1]
        right = 1
        for k in range(valid.shape[1]):
            t = k * 0.1
            if not once and not (time[low] <= t <= time[high - 1]):
                continue
            valid[row, k] = True
            if once:
                for c in range(3):
                    out_pose[row, k, c] = pose[low, c]
                for c in range(2):
                    out_velocity[row, k, c] = velocity[low, c]
            else:
                while right < n - 1 and time[low + right] < t:
                    right += 1
                a = low + right - 1
                b = low + right
                span = time[b] - time[a]
                for c in range(2):
                    out_pose[row, k, c] = (pose[b, c] - pose[a, c]) / span * (t - time[a]) + pose[a, c]
                    out_velocity[row, k, c] = (velocity[b, c] - velocity[a, c]) / span * (t - time[a]) + velocity[a, c]
                turned = (heading[right] - heading[right - 1]) / span * (t - time[a]) + heading[right - 1]
                out_pose[row, k, 2] = math.atan2(math.sin(turned), math.cos(turned))


@njit(cache=True)
def _unwrap(angle):
    """`numpy.unwrap` of a vector."""
    out = np.empty(len(angle))
    shift = 0.0
    out[0] = angle[0]
    for i in range(1, len(angle)):
        step = angle[i] - angle[i - 1]
        turn = (step + math.pi) % (2 * math.pi) - math.pi
        if turn == -math.pi and step > 0:
            turn = math.pi
        if abs(step) >= math.pi:
            shift += turn - step
        out[i] = angle[i] + shift
    return out

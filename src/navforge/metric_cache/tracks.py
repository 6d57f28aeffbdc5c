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
from navforge.metric_cache.scene import Devkit, ObjectTracks

Float = NDArray[np.float64]

FRAME_INTERVAL_S = 0.5
STEP_S = 0.1


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


def sightings(frames: Sequence[FrameObjects]) -> ObjectFrames:
    """Objects of the current and the future key frames.

    Args:
        frames: the current frame first, then every 0.5 s.
    """
    token = np.concatenate([frame.token for frame in frames])
    number = np.repeat(np.arange(len(frames)), [len(frame.token) for frame in frames])
    _, first, track = np.unique(token, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    first = np.sort(first)
    track = rank[track]
    order = np.argsort(track, kind="stable")
    return ObjectFrames(
        token=token[first],
        type=np.concatenate([frame.type for frame in frames])[first],
        extent=np.concatenate([frame.extent for frame in frames])[first],
        start=np.searchsorted(track[order], np.arange(len(first) + 1)).astype(np.int64),
        frame=number[order].astype(np.uint8),
        pose=np.concatenate([frame.pose for frame in frames])[order],
        velocity=np.concatenate([frame.velocity for frame in frames])[order],
        frames=len(frames),
    )


def interpolate(seen: ObjectFrames, devkit: Devkit) -> ObjectTracks:
    """Tracks at 10 Hz from the key frames that a devkit release reads (its observation horizon).

    Objects are ordered by the first step that has them, then by class, then by first sighting.

    Raises:
        DataError: a track occurs twice in the first key frame that has it and again later, so that its position
            between the two is undefined (the devkit fails then, too).
    """
    steps = devkit.observation_steps
    horizon = round((steps - 1) * STEP_S / FRAME_INTERVAL_S)
    if seen.frames <= horizon:
        raise ValueError(f"{horizon + 1} key frames are needed, there are {seen.frames}")
    present = seen.frame[seen.start[:-1]] <= horizon if len(seen.token) else np.zeros(0, np.bool_)
    _refuse_doubled_starts(seen, horizon)
    count = len(present)
    pose = np.zeros((count, steps, 3))
    velocity = np.zeros((count, steps, 2))
    valid = np.zeros((count, steps), np.bool_)
    first_heading = np.zeros(count)
    first_velocity = np.zeros((count, 2))
    _interpolate(
        seen.start, seen.frame * FRAME_INTERVAL_S, seen.pose, seen.velocity,
        horizon * FRAME_INTERVAL_S, pose, velocity, valid, first_heading, first_velocity,
    )  # fmt: skip
    kept = np.flatnonzero(present)
    order = kept[np.lexsort((kept, seen.type[kept], valid[kept].argmax(axis=1)))]
    return ObjectTracks(
        token=seen.token[order],
        type=seen.type[order],
        extent=seen.extent[order],
        pose=pose[order],
        velocity=velocity[order],
        valid=valid[order],
        first_heading=first_heading[order],
        first_velocity=first_velocity[order],
    )


def _refuse_doubled_starts(seen: ObjectFrames, horizon: int) -> None:
    first, end = seen.start[:-1], seen.start[1:]
    doubled = seen.frame[first] == seen.frame[np.minimum(first + 1, end - 1)]
    for track in np.flatnonzero(doubled & (end - first > 1)):
        frames = seen.frame[first[track] : end[track]]
        if frames[0] < frames[frames <= horizon].max(initial=0):
            raise DataError(
                f"track {seen.token[track]} occurs twice in key frame {frames[0]} after the current one, where it is "
                "first seen; track tokens must be unique within a frame"
            )


@njit(cache=True)
def _interpolate(start, time, pose, velocity, horizon, out_pose, out_velocity, valid, first_heading, first_velocity):
    """Linear interpolation as scipy's `interp1d` and numpy's `unwrap` do it; fills the `out` arrays in place."""
    for o in range(len(start) - 1):
        low = start[o]
        high = low
        while high < start[o + 1] and time[high] <= horizon:
            high += 1
        n = high - low
        if n == 0:
            continue
        heading = _unwrap(pose[low:high, 2])
        once = time[low] == time[high - 1]
        seen = False
        for k in range(valid.shape[1]):
            t = k * 0.1
            if not once and not (time[low] <= t <= time[high - 1]):
                continue
            valid[o, k] = True
            if once:
                out_pose[o, k] = pose[low]
                out_velocity[o, k] = velocity[low]
            else:
                right = 0
                while right < n and time[low + right] < t:
                    right += 1
                right = min(max(right, 1), n - 1)
                a = low + right - 1
                b = low + right
                span = time[b] - time[a]
                for c in range(2):
                    out_pose[o, k, c] = (pose[b, c] - pose[a, c]) / span * (t - time[a]) + pose[a, c]
                    out_velocity[o, k, c] = (velocity[b, c] - velocity[a, c]) / span * (t - time[a]) + velocity[a, c]
                turned = (heading[right] - heading[right - 1]) / span * (t - time[a]) + heading[right - 1]
                out_pose[o, k, 2] = math.atan2(math.sin(turned), math.cos(turned))
            if not seen:
                seen = True
                first_heading[o] = out_pose[o, k, 2]
                first_velocity[o] = out_velocity[o, k]


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

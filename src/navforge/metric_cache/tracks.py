"""Tracks of objects at 10 Hz, interpolated from 2 Hz key frames as the devkit does (`_interpolate_gt_observation`).

An object seen once exists at all steps; one with gaps is interpolated linearly across them; size and class come from
its first sighting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.compiled import kernel
from navforge.metric_cache.deferred import Deferrable, defer
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import ObjectFrames

Float = NDArray[np.float64]

FRAME_INTERVAL_S = 0.5
STEP_S = 0.1


@dataclass(frozen=True)
class ObjectTracks(Deferrable):
    """Tracked objects at 10 Hz over K = `Devkit.observation_steps` steps, in devkit order (first step, then class).

    May be computed only when first read (`deferred`), because most callers score by one release's rules.
    """

    token: NDArray[np.str_]
    """(O,) track token."""
    type: NDArray[np.uint8]
    """(O,) `ObjectType`."""
    extent: Float
    """(O, 2) length, width of the first sighting."""
    pose: Float
    """(O, K, 3) box centre x, y, heading; 0 where not `valid`."""
    velocity: Float
    """(O, K, 2) velocity vx, vy in the global frame, as the devkit interpolates it; 0 for static objects."""
    valid: NDArray[np.bool_]
    """(O, K) the object exists at this step."""
    first_heading: Float
    """(O,) heading at the first step that has the object; collision types and TTC use it with the current centroid."""
    first_velocity: Float
    """(O, 2) velocity at the first step that has the object, global frame."""

    @classmethod
    def deferred(cls, make: Callable[[Float | None], ObjectTracks]) -> ObjectTracks:
        """Tracks that are computed when the first of their arrays is read; an error is raised there.

        Args:
            make: computes them all, or, with bounds, at least those that `near` asks for.
        """
        return defer(cls, make)

    def near(self, bounds: Float) -> ObjectTracks:
        """These tracks, or, where they are yet to be computed, only those that may meet bounds.

        Args:
            bounds: (4,) low x, low y, high x, high y, global frame.
        """
        make = self.__dict__.get("_make")
        return self if make is None else make(bounds)


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


@kernel(allocates=True)
def _doubled_start(start, frame, horizon):
    """The first object whose first key frame holds it twice, and which a later one up to `horizon` holds; or -1."""
    for o in range(len(start) - 1):
        low = start[o]
        if start[o + 1] - low > 1 and frame[low] == frame[low + 1]:
            for i in range(low, start[o + 1]):
                if frame[low] < frame[i] <= horizon:
                    return o
    return -1


@kernel(allocates=True)
def _seen_until(start, time, horizon, o):
    """End of the sightings of object o up to a time."""
    high = start[o]
    while high < start[o + 1] and time[high] <= horizon:
        high += 1
    return high


@kernel(allocates=True)
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


@kernel(allocates=True)
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


@kernel(allocates=True)
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

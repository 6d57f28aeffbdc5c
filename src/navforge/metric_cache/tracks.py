"""Objects of 2 Hz key frames interpolated to 10 Hz as the devkit does (`_interpolate_gt_observation`).

An object seen once exists at all steps; one with gaps is interpolated linearly across them; size and class come from
its first sighting. A step's time is `step * 0.1` in floating point, so that step 30 (3.0000000000000004 s) lies after
a last sighting at 3.0 s, as in the devkit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from navforge.metric_cache.scene import Devkit, ObjectTracks

Float = NDArray[np.float64]

FRAME_INTERVAL_S = 0.5
STEP_S = 0.1


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


def interpolate(sightings: ObjectFrames, devkit: Devkit) -> ObjectTracks:
    """Tracks at 10 Hz from the key frames that a devkit release reads (its observation horizon).

    Objects are ordered by the first step that has them, then by class, then by first sighting.
    """
    steps = devkit.observation_steps
    horizon = round((steps - 1) * STEP_S / FRAME_INTERVAL_S)
    if sightings.frames <= horizon:
        raise ValueError(f"{horizon + 1} key frames are needed, there are {sightings.frames}")
    present = sightings.frame[sightings.start[:-1]] <= horizon if len(sightings.token) else np.zeros(0, np.bool_)
    count = len(present)
    pose = np.zeros((count, steps, 3))
    velocity = np.zeros((count, steps, 2))
    valid = np.zeros((count, steps), np.bool_)
    first_heading = np.zeros(count)
    first_velocity = np.zeros((count, 2))
    _interpolate(
        sightings.start, sightings.frame * FRAME_INTERVAL_S, sightings.pose, sightings.velocity,
        horizon * FRAME_INTERVAL_S, pose, velocity, valid, first_heading, first_velocity,
    )  # fmt: skip
    kept = np.flatnonzero(present)
    order = kept[np.lexsort((kept, sightings.type[kept], valid[kept].argmax(axis=1)))]
    return ObjectTracks(
        token=sightings.token[order],
        type=sightings.type[order],
        extent=sightings.extent[order],
        pose=pose[order],
        velocity=velocity[order],
        valid=valid[order],
        first_heading=first_heading[order],
        first_velocity=first_velocity[order],
    )


@njit(cache=True)
def _interpolate(start, time, pose, velocity, horizon, out_pose, out_velocity, valid, first_heading, first_velocity):  # noqa: PLR0912
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

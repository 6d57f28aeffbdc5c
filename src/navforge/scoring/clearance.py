"""The distance that driven plans keep to other road users and obstacles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from navforge.data.ego_states import center
from navforge.geometry.columns import Pose
from navforge.geometry.compiled import kernel
from navforge.geometry.convex import quad_distance_squared
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M
from navforge.metric_cache.tracks import ObjectTracks

Float = NDArray[np.float64]

NEAR_M = 20.0
"""Objects so near are looked at first; the rest only where there is none. It saves time where tracks are computed when
first read."""


def clearance(states: Float, objects: ObjectTracks) -> Float:
    """(N,) smallest gap in m between the ego's box and any other box at the same time; 0 where they touch.

    Args:
        states: (N, T, 11) simulated states of the rear axle, global frame, 0.1 s apart.
        objects: all objects around, static ones too, over at least T steps from the same time on.

    Returns:
        NaN where no object exists at any of the T steps.
    """
    ego = center(np.ascontiguousarray(states[..., : Pose.HEADING + 1]))
    margin = NEAR_M + EGO_LENGTH_M
    low, high = ego[..., : Pose.HEADING].min(axis=(0, 1)) - margin, ego[..., : Pose.HEADING].max(axis=(0, 1)) + margin
    gaps = _gaps(ego, objects.near(np.concatenate([low, high])))
    if (gaps > NEAR_M).any():
        gaps = _gaps(ego, objects)
    return np.where(np.isinf(gaps), np.nan, gaps)


def _gaps(ego: Float, objects: ObjectTracks) -> Float:
    gaps = np.empty(len(ego))
    _smallest_gaps(ego, EGO_LENGTH_M, EGO_WIDTH_M, objects.pose, objects.extent, objects.valid, gaps)
    return gaps


@kernel(allocates=True)
def _smallest_gaps(ego, length, width, pose, extent, valid, gaps):
    """Fill `gaps` (N,): of ego boxes (N, T, 3) to boxes (O, K, 3) of `extent` (O, 2); inf where there is none."""
    own, other = np.empty((1, 4, 2)), np.empty((1, 4, 2))
    own_reach = 0.5 * math.sqrt(length * length + width * width)
    for n in range(ego.shape[0]):
        best = math.inf
        for t in range(ego.shape[1]):
            _set_corners(own, ego[n, t, 0], ego[n, t, 1], ego[n, t, 2], length, width)
            for o in range(pose.shape[0]):
                if not valid[o, t]:
                    continue
                reach = own_reach + 0.5 * math.sqrt(extent[o, 0] * extent[o, 0] + extent[o, 1] * extent[o, 1])
                apart = math.hypot(pose[o, t, 0] - ego[n, t, 0], pose[o, t, 1] - ego[n, t, 1])
                if apart - reach < best:
                    _set_corners(other, pose[o, t, 0], pose[o, t, 1], pose[o, t, 2], extent[o, 0], extent[o, 1])
                    best = min(best, math.sqrt(quad_distance_squared(own, 0, other, 0)))
        gaps[n] = best


@kernel
def _set_corners(corners, x, y, heading, length, width):
    """Write the corners of a box into `corners` (1, 4, 2)."""
    ahead_x, ahead_y = 0.5 * length * math.cos(heading), 0.5 * length * math.sin(heading)
    aside_x, aside_y = -0.5 * width * math.sin(heading), 0.5 * width * math.cos(heading)
    for c in range(4):
        along = 1.0 if c in (0, 3) else -1.0
        across = 1.0 if c < 2 else -1.0
        corners[0, c, 0] = x + along * ahead_x + across * aside_x
        corners[0, c, 1] = y + along * ahead_y + across * aside_y

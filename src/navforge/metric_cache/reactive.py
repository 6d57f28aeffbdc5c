"""`ReactiveStart`: where reactive traffic starts from, whatever the ego plans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.metric_cache.deferred import Deferrable
from navforge.metric_cache.objects import FrameObjects

Float = NDArray[np.float64]


@dataclass(frozen=True)
class ReactiveStart(Deferrable):
    """Vehicles of the current frame that follow a lane in reactive traffic, and those that stand (global frame).

    What becomes of them is `simulation.reactive`; how they are chosen is `cache_builder.reactive`. All other vehicles
    vanish after the current step, as in the devkit.
    """

    current: FrameObjects
    """Objects of the current frame as logged, in devkit order."""
    follower: NDArray[np.int32]
    """(A,) row in `current` of each vehicle that follows a lane, in devkit order."""
    lane: NDArray[np.int32]
    """(A,) lane of each follower: points `path[path_start[lane]:path_start[lane + 1]]`."""
    progress_m: Float
    """(A,) arc length of the current position along the lane's baseline."""
    speed_mps: Float
    """(A,) current speed."""
    target_speed_mps: Float
    """(A,) speed on a free lane."""
    start_pose: Float
    """(A, 3) current pose snapped to the lane, as the devkit snaps it: the heading is that of the next 0.5 m."""
    path: Float
    """(V, 3) baseline poses x, y, heading of lanes, end to end."""
    path_start: NDArray[np.int64]
    """(L + 1,)"""
    standing: NDArray[np.int32]
    """(S,) row in `current` of each vehicle that stands where it is unless a follower is in its place."""

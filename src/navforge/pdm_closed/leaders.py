"""The obstacle in front of each proposal of PDM-Closed.

Follows `PDMGenerator` of the devkit (same in v1.1 and v2.2), its slip of the shared leader row included: proposals of
one path fill one row of leader values in turn, so that what one sets and the next does not (the speed of a leader in
front of a red light, the rear length of free driving) is taken over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.data import ego_states as ego
from navforge.data.observed_objects import AGENTS
from navforge.geometry.columns import Pose
from navforge.geometry.compiled import kernel
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M
from navforge.pdm_closed.forecast import Forecast
from navforge.pdm_closed.route_path import RoutePath

Float = NDArray[np.float64]
Ints = NDArray[np.int64]

_SLACK_M = 1e-3
"""What bounds of distances may be off by rounding, and more."""


@dataclass(frozen=True)
class Corridor:
    """The strip that the ego sweeps along a path."""

    path: RoutePath
    area: shapely.Geometry

    @classmethod
    def along(cls, path: RoutePath, start_m: float, end_m: float) -> Corridor:
        """As wide as the ego, from one arc length to another, prepared for predicates."""
        area = shapely.buffer(path.between(start_m, end_m), EGO_WIDTH_M / 2, quad_segs=16, cap_style="square")
        shapely.prepare(area)
        return cls(path, area)


class Leaders:
    """Obstacles in the corridors of some paths over some samples of a forecast.

    They do not depend on the proposals, so everything about them is computed once. Between obstacles whose distance to
    a proposal is decided by bounds around them, no exact distance is computed.
    """

    def __init__(self, around: Forecast, samples: range, corridors: Sequence[Corridor]) -> None:
        """Find the obstacles in the corridors at these samples."""
        areas = np.empty(len(corridors), dtype=object)
        areas[:] = [corridor.area for corridor in corridors]
        meetings = around.meeting(samples, areas)
        self._first = samples.start
        cell = (meetings.sample - samples.start) * len(corridors) + meetings.area
        start = np.searchsorted(cell, np.arange(len(samples) * len(corridors) + 1))
        self._start = start
        self._paths = len(corridors)
        self._polygon = meetings.polygon
        self._progress = np.empty(len(cell))
        centroid = shapely.centroid(meetings.polygon)
        for number, corridor in enumerate(corridors):
            mine = meetings.area == number
            self._progress[mine] = corridor.path.project(centroid[mine])
        low, high = np.split(shapely.bounds(meetings.polygon), 2, axis=1)
        self._center = 0.5 * (low + high)
        self._radius = 0.5 * np.hypot(*(high - low).T)
        is_light = meetings.obstacle >= len(around.drift)
        self._inner = np.where(is_light, self._radius, 0.0)
        self._length = np.array([float(corridor.path.line.length) for corridor in corridors])
        objects = around.objects
        speed = [
            math.hypot(vx, vy) if kind in AGENTS else 0.0
            for kind, (vx, vy) in zip(objects.type.tolist(), objects.velocity.tolist(), strict=True)
        ]
        of_object = np.where(is_light, 0, meetings.obstacle)
        self._speed = np.where(is_light, np.nan, np.array([*speed, 0.0])[of_object])
        self._heading = np.append(objects.pose[:, Pose.HEADING], 0.0)[of_object]

    def find(self, sample: int, path: Ints, poses: Float, progress: Float) -> Float:
        """Leaders of proposals: in the corridor, ahead, nearest.

        Args:
            sample: of the forecast.
            path: (N,) number of each proposal's corridor, ascending.
            poses: (N, 3) rear axles.
            progress: (N,) m along the paths.

        Returns:
            (N, 3) `idm.Leader`.
        """
        first = (sample - self._first) * self._paths
        start = self._start[first : first + self._paths + 1]
        corners = ego.box_corners(ego.center(poses), EGO_LENGTH_M, EGO_WIDTH_M)
        row, slot = _within_reach(
            path, start, self._progress, progress, corners, self._center, self._radius, self._inner
        )
        boxes: Any = shapely.polygons(corners)
        distance = shapely.distance(boxes[row], self._polygon[slot])
        length = self._length[path]
        heading = np.ascontiguousarray(poses[:, Pose.HEADING])
        return _nearest(row, slot, distance, path, progress, heading, length, self._speed, self._heading, EGO_LENGTH_M)


@kernel(allocates=True)
def _within_reach(path, start, progress, own_progress, corners, center, radius, inner):
    """Pairs of proposal and obstacle ahead in its corridor, without obstacles that another is surely nearer than.

    `radius` of a circle around each obstacle; `inner` from the circle's centre to the obstacle, at most.
    """
    most = 0
    for n in range(len(path)):
        most += start[path[n] + 1] - start[path[n]]
    row = np.empty(most, np.int64)
    slot = np.empty(most, np.int64)
    count = 0
    for n in range(len(path)):
        x = 0.5 * (corners[n, 0, 0] + corners[n, 2, 0])
        y = 0.5 * (corners[n, 0, 1] + corners[n, 2, 1])
        own_radius = math.hypot(corners[n, 0, 0] - x, corners[n, 0, 1] - y)
        bound = np.inf
        for k in range(start[path[n]], start[path[n] + 1]):
            if progress[k] > own_progress[n]:
                bound = min(bound, math.hypot(center[k, 0] - x, center[k, 1] - y) + inner[k])
        for k in range(start[path[n]], start[path[n] + 1]):
            if progress[k] > own_progress[n]:
                away = math.hypot(center[k, 0] - x, center[k, 1] - y) - own_radius - radius[k]
                if away <= bound + _SLACK_M:
                    row[count] = n
                    slot[count] = k
                    count += 1
    return row[:count], slot[:count]


@kernel(allocates=True)
def _nearest(row, slot, distance, path, own_progress, heading, length, speed, course, ego_length):
    """`idm.Leader` (N, 3) from the distances of pairs, in order of `row`; `speed` is nan for lights."""
    leader = np.empty((len(path), 3))
    at = 0
    lead = 0.0
    lead_speed = 0.0
    rear = 0.0
    for n in range(len(path)):
        if n == 0 or path[n] != path[n - 1]:
            lead = lead_speed = rear = 0.0
        best = -1
        while at < len(row) and row[at] == n:
            if best < 0 or distance[at] < distance[best]:
                best = at
            at += 1
        if best >= 0:
            lead = own_progress[n] + distance[best]
            k = slot[best]
            if not math.isnan(speed[k]):
                turn = course[k] - heading[n]
                lead_speed = speed[k] * math.cos(math.atan2(math.sin(turn), math.cos(turn)))
        else:
            lead = length[n]
            rear = ego_length / 2
        leader[n, 0] = lead
        leader[n, 1] = lead_speed
        leader[n, 2] = rear
    return leader

"""PDM-Closed's proposals: five speeds along the centreline and along its parallels 1 m to either side.

Follows `PDMGenerator` of the devkit (same in v1.1 and v2.2), its slip of the shared leader row included: proposals of
one path fill one row of leader values in turn, so that what one sets and the next does not (the speed of a leader in
front of a red light, the rear length of free driving) is taken over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.caching import ego
from navforge.caching.forecast import Forecast
from navforge.caching.idm import SPEED_FRACTIONS, Leader, Motion, advance
from navforge.caching.objects import AGENTS
from navforge.caching.route_path import RoutePath
from navforge.geometry.columns import Pose
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M
from navforge.metric_cache.scene import REFERENCE_STEPS, SCORED_STEPS

Float = NDArray[np.float64]

LATERAL_OFFSETS_M = (0.0, -1.0, 1.0)
"""Paths of the proposals; positive is to the left."""

_STEP_S = 0.1
_LEADER_STEPS = 2
_PER_PATH = len(SPEED_FRACTIONS)


class Proposals:
    """The 15 proposals of one scene, path by path; all are unrolled to 4 s, the chosen one to 5 s.

    Attributes:
        poses: (15, 51, 3) rear axle x, y, heading.
        motion: (15, 51, 2) `Motion`.
        leader: (15, 51, 3) `Leader`.
    """

    def __init__(
        self, centerline: RoutePath, around: Forecast, ego_pose: Float, ego_speed_mps: float, target_mps: Float
    ) -> None:
        """Place every proposal at the ego's projection onto its path.

        Args:
            centerline: of the route.
            around: forecast of obstacles.
            ego_pose: (3,) rear axle.
            ego_speed_mps: forward speed of the rear axle.
            target_mps: (5,) target speeds.
        """
        self._paths = [centerline if offset == 0 else centerline.shifted(offset) for offset in LATERAL_OFFSETS_M]
        self._around = around
        self._targets = np.tile(target_mps, len(self._paths))
        count = len(self._targets)
        self.poses = np.zeros((count, REFERENCE_STEPS, 3))
        self.motion = np.zeros((count, REFERENCE_STEPS, len(Motion)))
        self.leader = np.zeros((count, REFERENCE_STEPS, len(Leader)))
        self._corridors: list[shapely.Geometry] = []
        reach_m = abs(float(np.max(target_mps))) * (REFERENCE_STEPS - 1) * _STEP_S
        for number, path in enumerate(self._paths):
            rows = self._rows(number)
            progress = float(path.project(shapely.Point(ego_pose[:2])))
            self.motion[rows, 0] = progress, ego_speed_mps
            self.poses[rows, 0] = path.interpolate(np.array([progress]))[0]
            ahead = path.between(progress, progress + reach_m)
            corridor = shapely.buffer(ahead, EGO_WIDTH_M / 2, quad_segs=16, cap_style="square")
            shapely.prepare(corridor)
            self._corridors.append(corridor)

    def unroll(self) -> Float:
        """Unroll all proposals over 4 s; returns (15, 41, 3) poses."""
        everything = [(number, self._rows(number)) for number in range(len(self._paths))]
        for step in range(1, SCORED_STEPS):
            self._advance(step, everything)
        return self.poses[:, :SCORED_STEPS]

    def complete(self, proposal: int) -> Float:
        """Unroll one proposal to 5 s; returns its (51, 3) poses."""
        for step in range(SCORED_STEPS, REFERENCE_STEPS):
            self._advance(step, [(proposal // _PER_PATH, np.array([proposal]))])
        return self.poses[proposal]

    def _rows(self, path: int) -> NDArray[np.int64]:
        return np.arange(path * _PER_PATH, (path + 1) * _PER_PATH)

    def _advance(self, step: int, groups: Sequence[tuple[int, NDArray[np.int64]]]) -> None:
        rows = np.concatenate([group for _, group in groups])
        if step % _LEADER_STEPS:
            self.leader[rows, step] = self.leader[rows, step - 1]
        else:
            for number, group in groups:
                self._find_leaders(step, number, group)
        self.motion[rows, step] = advance(
            self.motion[rows, step - 1], self.leader[rows, step], self._targets[rows], _STEP_S
        )
        for number, group in groups:
            self.poses[group, step] = self._paths[number].interpolate(self.motion[group, step, Motion.PROGRESS])

    def _find_leaders(self, step: int, number: int, rows: NDArray[np.int64]) -> None:
        """Set the leader of the proposals of one path: the obstacle in the corridor and ahead that is nearest."""
        path, around = self._paths[number], self._around
        found = around.meeting(step, self._corridors[number])
        sample = around.at(step)
        progress = path.project(shapely.centroid(around.polygons[sample, found]))
        boxes = ego.boxes(self.poses[rows, step - 1])
        shared = np.zeros(len(Leader))
        for row, box in zip(rows, boxes, strict=True):
            own_progress = self.motion[row, step - 1, Motion.PROGRESS]
            ahead = found[progress > own_progress]
            if len(ahead):
                distance = shapely.distance(box, around.polygons[sample, ahead])
                nearest = int(np.argmin(distance))
                shared[Leader.PROGRESS] = own_progress + distance[nearest]
                if ahead[nearest] < len(around.drift):
                    heading = float(self.poses[row, step - 1, Pose.HEADING])
                    shared[Leader.SPEED] = self._speed_along(int(ahead[nearest]), heading)
            else:
                shared[Leader.PROGRESS] = path.line.length
                shared[Leader.REAR] = EGO_LENGTH_M / 2
            self.leader[row, step] = shared

    def _speed_along(self, obstacle: int, heading: float) -> float:
        """Speed of an object projected onto a heading, as if it moved along its own; 0 for static objects."""
        objects = self._around.objects
        if objects.type[obstacle] not in AGENTS:
            return 0.0
        turn = float(objects.pose[obstacle, Pose.HEADING]) - heading
        vx, vy = objects.velocity[obstacle].tolist()
        return math.hypot(vx, vy) * math.cos(math.atan2(math.sin(turn), math.cos(turn)))

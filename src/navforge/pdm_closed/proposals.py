"""PDM-Closed's proposals: five speeds along the centreline and along its parallels 1 m to either side.

Follows `PDMGenerator` of the devkit (same in v1.1 and v2.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.metric_cache.scene import REFERENCE_STEPS, SCORED_STEPS
from navforge.pdm_closed.forecast import Forecast
from navforge.pdm_closed.idm import SPEED_FRACTIONS, Leader, Motion, advance
from navforge.pdm_closed.leaders import Corridor, Leaders
from navforge.pdm_closed.route_path import PathBundle, RoutePath

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
        paths = [centerline if offset == 0 else centerline.shifted(offset) for offset in LATERAL_OFFSETS_M]
        self._bundle = PathBundle.of(paths)
        self._path = np.repeat(np.arange(len(paths)), _PER_PATH)
        self._targets = np.tile(target_mps, len(paths))
        count = len(self._targets)
        self.poses = np.zeros((count, REFERENCE_STEPS, 3))
        self.motion = np.zeros((count, REFERENCE_STEPS, len(Motion)))
        self.leader = np.zeros((count, REFERENCE_STEPS, len(Leader)))
        self._around = around
        reach_m = abs(float(np.max(target_mps))) * (REFERENCE_STEPS - 1) * _STEP_S
        here = shapely.Point(ego_pose[:2])
        progress = np.array([float(path.project(here)) for path in paths])
        self.motion[:, 0, Motion.PROGRESS] = progress[self._path]
        self.motion[:, 0, Motion.SPEED] = ego_speed_mps
        self.poses[:, 0] = self._bundle.interpolate(np.arange(len(paths)), progress)[self._path]
        self._corridors = [
            Corridor.along(path, start, start + reach_m) for path, start in zip(paths, progress.tolist(), strict=True)
        ]

    def unroll(self) -> Float:
        """Unroll all proposals over 4 s; returns (15, 41, 3) poses."""
        self._advance(range(1, SCORED_STEPS), slice(0, len(self.poses)), self._corridors)
        return self.poses[:, :SCORED_STEPS]

    def complete(self, proposal: int) -> Float:
        """Unroll one proposal to 5 s; returns its (51, 3) poses."""
        corridor = self._corridors[self._path[proposal]]
        self._advance(range(SCORED_STEPS, REFERENCE_STEPS), slice(proposal, proposal + 1), [corridor])
        return self.poses[proposal]

    def _advance(self, steps: range, rows: slice, corridors: Sequence[Corridor]) -> None:
        """Move proposals over some steps; `corridors` are those of their paths, in turn."""
        samples = range(self._around.at(steps[0] + 1), self._around.at(steps[-1]) + 1)
        leaders = Leaders(self._around, samples, corridors)
        path, targets = self._path[rows], self._targets[rows]
        for step in steps:
            if step % _LEADER_STEPS:
                self.leader[rows, step] = self.leader[rows, step - 1]
            else:
                progress = self.motion[rows, step - 1, Motion.PROGRESS]
                self.leader[rows, step] = leaders.find(
                    self._around.at(step), path - path[0], self.poses[rows, step - 1], progress
                )
            self.motion[rows, step] = advance(self.motion[rows, step - 1], self.leader[rows, step], targets, _STEP_S)
            self.poses[rows, step] = self._bundle.interpolate(path, self.motion[rows, step, Motion.PROGRESS])

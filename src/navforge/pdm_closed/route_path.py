"""`RoutePath`: a discrete path to project on and to interpolate along (the devkit's `PDMPath`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.ops import substring

from navforge.core.errors import DataError
from navforge.geometry.arclength import arc_length
from navforge.geometry.columns import Pose
from navforge.geometry.compiled import kernel

Float = NDArray[np.float64]

_FIRST_DISTANCE_M = 1e-5
"""Smallest distance the devkit interpolates at; keeps off a repeated first point."""


@dataclass(frozen=True)
class RoutePath:
    """Poses along a route, repeated points at lane joints included.

    Attributes:
        poses: (M, 3) x, y, heading in the global frame; M at least 2. Headings are not unwrapped.
    """

    poses: Float

    def __post_init__(self) -> None:
        if len(self.poses) < 2:
            raise DataError(f"a path needs two points, this one has {len(self.poses)}")

    @cached_property
    def progress(self) -> Float:
        """(M,) arc length in m at every pose."""
        return arc_length(self.poses)

    @cached_property
    def line(self) -> shapely.LineString:
        """The path as a line, for projections."""
        return shapely.LineString(self.poses[:, :2])

    @property
    def length(self) -> float:
        """Arc length in m."""
        return float(self.progress[-1])

    @cached_property
    def _bundle(self) -> PathBundle:
        return PathBundle.of([self])

    def project(self, points: Any) -> Any:
        """Arc length in m of the nearest point of the path, per shapely point."""
        return shapely.line_locate_point(self.line, points)

    def interpolate(self, distances: Float) -> Float:
        """Poses at given arc lengths.

        Args:
            distances: (N,) m along the path, clipped to it.

        Returns:
            (N, 3) x, y, heading, linear between the neighbouring poses, heading in [-pi, pi]. A value that is not a
            number becomes 0, as in the devkit.
        """
        return self._bundle.interpolate(np.zeros(len(distances), np.int64), distances)

    def between(self, start_m: float, end_m: float) -> Any:
        """The part of the line from one arc length to another, as shapely geometry.

        The poses in between; where there are fewer than two, the exact sub-line (a point where the ends coincide).
        """
        start_m = float(np.clip(start_m, 0.0, self.length))
        end_m = float(np.clip(end_m, 0.0, self.length))
        inside = (start_m <= self.progress) & (self.progress <= end_m)
        if np.count_nonzero(inside) > 1:
            return shapely.LineString(self.poses[inside, :2])
        return substring(self.line, start_m, end_m)

    def shifted(self, offset_m: float) -> RoutePath:
        """Every pose moved sideways; positive is to the left. Headings stay."""
        side = self.poses[:, Pose.HEADING] + np.pi / 2
        poses = self.poses.copy()
        poses[:, Pose.X] += np.cos(side) * offset_m
        poses[:, Pose.Y] += np.sin(side) * offset_m
        return RoutePath(poses)


@dataclass(frozen=True)
class PathBundle:
    """Paths of equally many poses, to be interpolated together."""

    progress: Float
    """(P, M) arc length in m."""
    unwrapped: Float
    """(P, M, 3) poses with unwrapped headings."""

    @classmethod
    def of(cls, paths: Sequence[RoutePath]) -> PathBundle:
        """Paths with the same number of poses, such as one and its parallels."""
        poses = np.stack([path.poses for path in paths])
        poses[..., Pose.HEADING] = np.unwrap(poses[..., Pose.HEADING], axis=-1)
        return cls(np.stack([path.progress for path in paths]), poses)

    def interpolate(self, path: NDArray[np.int64], distances: Float) -> Float:
        """(N, 3) `RoutePath.interpolate` at one arc length each (N,) on the paths of these numbers (N,)."""
        poses = np.empty((len(path), 3))
        _interpolate(self.progress, self.unwrapped, path, distances, poses)
        heading = poses[:, Pose.HEADING]
        poses[:, Pose.HEADING] = np.arctan2(np.sin(heading), np.cos(heading))
        poses[np.isnan(poses)] = 0.0
        return poses


@kernel(allocates=True, error_model="numpy")
def _interpolate(progress, unwrapped, path, distances, poses):
    """Fill `poses` (N, 3), headings not wrapped; not a number where two poses at one arc length are in question."""
    count = progress.shape[1]
    for n in range(len(path)):
        p = path[n]
        at = distances[n]
        at = max(at, _FIRST_DISTANCE_M)
        at = min(at, progress[p, count - 1])
        high = np.searchsorted(progress[p], at)
        high = min(max(high, 1), count - 1)
        low = high - 1
        span = progress[p, high] - progress[p, low]
        for c in range(3):
            slope = (unwrapped[p, high, c] - unwrapped[p, low, c]) / span
            poses[n, c] = slope * (at - progress[p, low]) + unwrapped[p, low, c]

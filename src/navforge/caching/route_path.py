"""`RoutePath`: a discrete path to project on and to interpolate along (the devkit's `PDMPath`)."""

from __future__ import annotations

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
    def _unwrapped(self) -> Float:
        poses = self.poses.copy()
        poses[:, Pose.HEADING] = np.unwrap(poses[:, Pose.HEADING])
        return poses

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
        at = np.clip(distances, _FIRST_DISTANCE_M, self.length)
        high = np.clip(np.searchsorted(self.progress, at), 1, len(self.progress) - 1)
        low = high - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            slope = (self._unwrapped[high] - self._unwrapped[low]) / (self.progress[high] - self.progress[low])[:, None]
            poses = slope * (at - self.progress[low])[:, None] + self._unwrapped[low]
        poses[:, Pose.HEADING] = np.arctan2(np.sin(poses[:, Pose.HEADING]), np.cos(poses[:, Pose.HEADING]))
        poses[np.isnan(poses)] = 0.0
        return poses

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

"""How near a plan comes to a sub-score's limits: the geometric cause when two scorers disagree.

Not for scoring: a slow look with shapely at one plan. A disagreement is explained where the margin is within rounding
(`ROUNDING`); anything else is a defect of one of the scorers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.geometry.columns import State
from navforge.geometry.se2 import poses_to_local
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.metric_cache.devkit import Devkit
from navforge.scoring import metrics
from navforge.scoring.arrays import Area, PolygonArrays
from navforge.scoring.engine import TTC_LAST_STEP
from navforge.scoring.kernels.area import in_area_exact
from navforge.scoring.kernels.comfort import (
    MAX_JERK,
    MAX_LONGITUDINAL_ACCELERATION,
    MAX_LONGITUDINAL_JERK,
    MAX_YAW_ACCELERATION,
    MAX_YAW_RATE,
    MIN_LONGITUDINAL_ACCELERATION,
)
from navforge.scoring.kernels.path import (
    DIRECTION_COMPLIANT_M,
    DIRECTION_HORIZON_STEPS,
    DIRECTION_VIOLATED_M,
    LANE_DEVIATION_M,
)
from navforge.scoring.kernels.reach import LOOK_AHEAD_STEPS, LOOK_AHEADS
from navforge.scoring.kernels.traffic import (
    AHEAD_RAD,
    BEHIND_RAD,
    STOPPED_EGO_SPEED_MPS,
    TTC_STOPPED_SPEED_MPS,
)
from navforge.scoring.prepare.scene import PreparedScene
from navforge.simulation.tracker import STEP_S

Float = NDArray[np.float64]

ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Margin:
    """The nearest of a sub-score's limits."""

    value: float
    """Distance to it, in m (boxes, boundaries, ways), rad, m/s or the unit of the bounded quantity."""
    cause: str
    """What it is, with step and object."""

    @property
    def explains(self) -> bool:
        """Whether rounding alone can turn the sub-score over."""
        return self.value <= ROUNDING


def smallest_margin(prepared: PreparedScene, states: Float, metric: str, devkit: Devkit) -> Margin:
    """Smallest margin of one plan (41, 11), global frame, in a discrete sub-score given by its column name.

    Raises:
        KeyError: not a discrete sub-score.
    """
    look = _Look(prepared, states, devkit)
    margins = {
        metrics.NO_AT_FAULT_COLLISIONS.name: look.collisions,
        metrics.DRIVABLE_AREA_COMPLIANCE.name: look.drivable,
        metrics.DRIVING_DIRECTION_COMPLIANCE.name: look.driving_direction,
        metrics.TRAFFIC_LIGHT_COMPLIANCE.name: look.lights,
        metrics.TIME_TO_COLLISION.name: look.time_to_collision,
        metrics.LANE_KEEPING.name: look.lane_keeping,
        metrics.HISTORY_COMFORT.name: look.comfort,
        metrics.COMFORT.name: look.comfort,
    }[metric]
    return min(margins(), key=lambda margin: margin.value, default=Margin(value=np.inf, cause="nothing near"))


def report(
    prepared: PreparedScene, states: Float, metric: str, devkit: Devkit, ours: Float, theirs: Float
) -> list[str]:
    """One line per proposal (N, 41, 11) whose sub-score (N,) differs, with its cause, or UNEXPLAINED."""
    lines = []
    for n in np.flatnonzero(ours != theirs):
        margin = smallest_margin(prepared, states[n], metric, devkit)
        cause = f"{margin.value:.2e} from {margin.cause}"
        lines.append(
            f"{prepared.token} proposal {n} {metric}: ours {ours[n]}, theirs {theirs[n]}: "
            + (cause if margin.explains else f"UNEXPLAINED, nearest limit {cause}")
        )
    return lines


class _Look:
    """One plan in one scene, in the ego frame."""

    def __init__(self, prepared: PreparedScene, states: Float, devkit: Devkit) -> None:
        self.prepared = prepared
        self.devkit = devkit
        self.states = states
        self.speed = np.hypot(states[:, State.VELOCITY_X], states[:, State.VELOCITY_Y])
        rear = poses_to_local(prepared.ego_state[:3], states[:, :3])
        self.rear = rear[:, :2]
        self.direction = np.stack([np.cos(rear[:, 2]), np.sin(rear[:, 2])], axis=1)
        self.centers = self.rear + REAR_AXLE_TO_CENTER_M * self.direction
        left = np.stack([-self.direction[:, 1], self.direction[:, 0]], axis=1)
        along, across = 0.5 * EGO_LENGTH_M * self.direction, 0.5 * EGO_WIDTH_M * left
        self.corners = self.centers[:, None] + np.stack(
            [along + across, across - along, -along - across, along - across], axis=1
        )

    def collisions(self) -> Iterator[Margin]:
        """Boxes that touch, bearings, lanes under the corners, standstill."""
        yield from self._traffic((0,), len(self.centers) - 1)
        yield from self._boundary(Area.LANE, self.corners, "a corner")
        yield from self._boundary(Area.DRIVABLE, self.corners, "a corner")
        yield from self._standstill(STOPPED_EGO_SPEED_MPS)

    def time_to_collision(self) -> Iterator[Margin]:
        """As `collisions`, with boxes ahead, and intersections under the rear axle."""
        looks = tuple(LOOK_AHEAD_STEPS * look for look in range(LOOK_AHEADS))
        yield from self._traffic(looks, TTC_LAST_STEP[self.devkit])
        yield from self._boundary(Area.LANE, self.corners, "a corner")
        yield from self._boundary(Area.DRIVABLE, self.corners, "a corner")
        yield from self._boundary(Area.INTERSECTION, self.rear, "the rear axle")
        yield from self._standstill(TTC_STOPPED_SPEED_MPS)

    def drivable(self) -> Iterator[Margin]:
        """Corners near the drivable area's boundaries."""
        yield from self._boundary(Area.DRIVABLE, self.corners, "a corner")

    def driving_direction(self) -> Iterator[Margin]:
        """Ways near 2 m and 6 m, centres near boundaries of the route's lanes and of intersections."""
        yield from self._boundary(Area.ON_ROUTE, self.centers, "the centre")
        yield from self._boundary(Area.INTERSECTION, self.centers, "the centre")
        way = np.concatenate([[0.0], np.hypot(*np.diff(self.centers, axis=0).T)])
        for t, center in enumerate(self.centers):
            forgiven = self.devkit is Devkit.V2 and in_area_exact(self.prepared.areas, Area.INTERSECTION, *center)
            if forgiven or in_area_exact(self.prepared.areas, Area.ON_ROUTE, *center):
                way[t] = 0.0
        for t in range(len(way)):
            driven = way[max(0, t - DIRECTION_HORIZON_STEPS) : t + 1].sum()
            for limit in (DIRECTION_COMPLIANT_M, DIRECTION_VIOLATED_M):
                yield Margin(value=abs(driven - limit), cause=f"{limit} m driven against the direction at step {t}")

    def lights(self) -> Iterator[Margin]:
        """Box near the outline of a red connector."""
        lights = self.prepared.lights
        for i in range(len(self.centers)):
            box = shapely.Polygon(self.corners[i])
            for k in np.flatnonzero((lights.red >> i) & 1):
                outline = shapely.MultiLineString(_rings(lights.polygons, int(k)))
                gap = min(box.distance(outline), box.exterior.distance(outline))
                yield Margin(value=gap, cause=f"the outline of red connector {k} at step {i}")

    def lane_keeping(self) -> Iterator[Margin]:
        """Centre near 0.5 m from the centreline, or near an intersection's boundary."""
        line = shapely.LineString(self.prepared.path.xy)
        distances = np.asarray(shapely.distance(shapely.points(self.centers), line))
        for t, distance in enumerate(distances):
            limit = LANE_DEVIATION_M
            yield Margin(value=abs(float(distance) - limit), cause=f"{limit} m off the centreline at step {t}")
        yield from self._boundary(Area.INTERSECTION, self.centers, "the centre")

    def comfort(self) -> Iterator[Margin]:
        """Filtered accelerations, jerks and yaw motion near their bounds."""
        comfort = self.prepared.comfort[self.devkit]
        states = np.concatenate([comfort.history, self.states])
        yaw = states[:, State.YAW_RATE] ** 2 + states[:, State.YAW_ACCELERATION]
        longitudinal = states[:, State.ACCELERATION_X] + comfort.lever_m * yaw
        magnitude = np.hypot(states[:, State.ACCELERATION_X], states[:, State.ACCELERATION_Y])
        heading = np.unwrap(states[:, State.HEADING])
        acceleration = comfort.acceleration_start, comfort.acceleration
        jerk = comfort.jerk_start, comfort.jerk
        series = {
            "longitudinal acceleration": (
                _filtered(comfort.longitudinal_start, comfort.longitudinal, longitudinal),
                (MIN_LONGITUDINAL_ACCELERATION, MAX_LONGITUDINAL_ACCELERATION),
            ),
            "jerk": (_filtered(*jerk, _filtered(*acceleration, magnitude)), (-MAX_JERK, MAX_JERK)),
            "longitudinal jerk": (
                _filtered(*jerk, _filtered(*acceleration, longitudinal)),
                (-MAX_LONGITUDINAL_JERK, MAX_LONGITUDINAL_JERK),
            ),
            "yaw rate": (_filtered(comfort.yaw_rate_start, comfort.yaw_rate, heading), (-MAX_YAW_RATE, MAX_YAW_RATE)),
            "yaw acceleration": (
                _filtered(comfort.yaw_acceleration_start, comfort.yaw_acceleration, heading),
                (-MAX_YAW_ACCELERATION, MAX_YAW_ACCELERATION),
            ),
        }
        for name, (values, bounds) in series.items():
            for bound in bounds:
                distance = np.abs(values - bound)
                yield Margin(value=float(distance.min()), cause=f"the bound {bound} of {name}")

    def _traffic(self, looks: tuple[int, ...], last_step: int) -> Iterator[Margin]:
        traffic = self.prepared.traffic_of(self.devkit)
        for t in range(last_step + 1):
            for ahead in looks:
                center = self.centers[t] + self.direction[t] * (self.speed[t] * ahead * STEP_S)
                there = np.flatnonzero((traffic.present >> (t + ahead)) & 1)
                if len(there) == 0:
                    continue
                boxes = traffic.track[there, t + ahead]
                half = np.stack([traffic.half_length[there], traffic.half_width[there]], axis=1)
                gap = np.abs(_separation(boxes, half, center, self.direction[t]))
                nearest = int(gap.argmin())
                where = f"object {traffic.object[there[nearest]]} at step {t + ahead}"
                yield Margin(value=float(gap[nearest]), cause=f"the box of {where}")
                way = boxes[:, :2] - self.rear[t]
                distance = np.hypot(*way.T)
                cosine = (way @ self.direction[t]) / np.maximum(distance, ROUNDING)
                angle = np.arccos(np.clip(cosine, -1.0, 1.0))
                for limit in (AHEAD_RAD, BEHIND_RAD):
                    off = np.abs(angle - limit)
                    yield Margin(
                        value=float(off.min()), cause=f"a bearing of {np.degrees(limit):.0f} degrees, step {t}"
                    )

    def _standstill(self, limit: float) -> Iterator[Margin]:
        for t, speed in enumerate(self.speed):
            yield Margin(value=abs(float(speed) - limit), cause=f"a standing ego ({limit} m/s) at step {t}")

    def _boundary(self, area: Area, points: Float, what: str) -> Iterator[Margin]:
        areas = self.prepared.areas
        members = areas.members[areas.member_start[area] : areas.member_start[area + 1]]
        if len(members) == 0:
            return
        outline = shapely.MultiLineString([ring for p in members for ring in _rings(areas.polygons, int(p))])
        distance = np.asarray(shapely.distance(shapely.points(points.reshape(-1, 2)), outline))
        nearest = int(distance.argmin())
        step = nearest // (len(distance) // len(self.centers))
        yield Margin(
            value=float(distance[nearest]), cause=f"a boundary of {area.name.lower()} under {what} at step {step}"
        )


def _rings(shapes: PolygonArrays, p: int) -> list[Float]:
    rings = range(shapes.polygon_start[p], shapes.polygon_start[p + 1])
    return [shapes.xy[shapes.ring_start[r] : shapes.ring_start[r + 1]] for r in rings]


def _separation(boxes: Float, half: Float, center: Float, direction: Float) -> Float:
    """Signed separation of boxes from the ego's box along the best of the four axes: 0 where they just touch.

    `boxes` (B, 4) are as `TrafficArrays.track`, `half` (B, 2) half length and width.
    """
    dx, dy, c2, s2 = boxes.T - np.array([*center, 0.0, 0.0])[:, None]
    c1, s1 = direction
    c, s = np.abs(c1 * c2 + s1 * s2), np.abs(c1 * s2 - s1 * c2)
    length1, width1 = 0.5 * EGO_LENGTH_M, 0.5 * EGO_WIDTH_M
    length2, width2 = half.T
    axes = [
        np.abs(dx * c1 + dy * s1) - length1 - length2 * c - width2 * s,
        np.abs(dy * c1 - dx * s1) - width1 - length2 * s - width2 * c,
        np.abs(dx * c2 + dy * s2) - length2 - length1 * c - width1 * s,
        np.abs(dy * c2 - dx * s2) - width2 - length1 * s - width1 * c,
    ]
    return np.max(axes, axis=0)


def _filtered(start: NDArray[np.int32], weights: Float, samples: Float) -> Float:
    window = np.arange(weights.shape[1])
    return np.round((weights * samples[start[:, None] + window]).sum(axis=1), 8)

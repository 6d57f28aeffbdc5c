"""Ways through the lane graph as smooth driving lines: where to stop, how fast, on which lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from navforge.town import curves
from navforge.town.world import Connector, Lane, TownMap, Turn

Float = NDArray[np.float64]

SPACING_M = 1.0
SMOOTHING_M = 1.8
"""Standard deviation of the Gaussian along the driving line: how gradually a driver turns the wheel."""
LANE_M = 3.8
"""What counts as one lane aside."""
RAMP_M = 18.0
"""Length over which a driver moves aside for an obstacle."""


PASSING_MPS = 6.5
"""Drivers pass obstacles in their lane no faster than this."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One roadblock of a route with the lane it is entered on and the connector it is left by."""

    first_lane: int
    last_lane: int
    connector: int | None
    """Connector fid after the lane; None at the end of the route."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A stop line on a path and the way through the intersection behind it."""

    stop: float
    """Arc length of the stop line."""
    exit: float
    """Arc length where the connector ends."""
    connector: int
    intersection: int
    lit: bool
    turn: Turn


@dataclass(frozen=True, slots=True)
class Span:
    """Stretch of a path on one lane or connector."""

    start: float
    end: float
    roadblock: int
    """fid of the roadblock or roadblock connector."""
    turn: Turn | None
    """None on lanes."""
    lane: int | None
    """Lane fid; None on connectors and where the line changes lanes."""


@dataclass(frozen=True, slots=True)
class DrivingLine:
    """What a driver follows: vertices `SPACING_M` apart, speeds allowed there, gates and spans in order."""

    pose: Float
    """(P, 3) x, y, heading."""
    speed: Float
    """(P,) comfortable speed, m/s: limit, curvature, and what braking ahead demands."""
    gates: tuple[Gate, ...]
    spans: tuple[Span, ...]

    @property
    def length(self) -> float:
        """Arc length of the last vertex, m."""
        return (len(self.pose) - 1) * SPACING_M

    def at(self, s: float) -> Float:
        """Pose (3,) at arc length s."""
        place = min(max(s / SPACING_M, 0.0), len(self.pose) - 1.000001)
        k = int(place)
        return self.pose[k] + (place - k) * (self.pose[k + 1] - self.pose[k])


@dataclass(frozen=True, slots=True)
class Style:
    """How a driver takes speeds and corners."""

    speed_factor: float = 1.0
    """Of the speed limit."""
    lateral_mps2: float = 2.6
    braking_mps2: float = 1.4
    """Deceleration planned before bends."""
    top_speed: float = 30.0


class LaneGraph:
    """Successors in the lane graph of a town."""

    def __init__(self, town: TownMap) -> None:
        self.town = town
        self.after_lane: dict[int, list[Connector]] = {fid: [] for fid in town.lanes}
        self.after_roadblock: dict[int, list[Connector]] = {fid: [] for fid in town.roadblocks}
        for connector in town.connectors.values():
            self.after_lane[connector.from_lane].append(connector)
            self.after_roadblock[town.lanes[connector.from_lane].roadblock].append(connector)

    def random_route(
        self,
        lane: int,
        legs: int,
        rng: np.random.Generator,
        *,
        change_lanes: bool,
        turn_weight: float = 1.0,
    ) -> list[Leg]:
        """A route of `legs` roadblocks from a lane; turns are drawn `turn_weight` times as often as going straight."""
        route = []
        for n in range(legs):
            block = self.town.lanes[lane].roadblock
            ways = self.after_roadblock[block] if change_lanes else self.after_lane[lane]
            if n == legs - 1:
                route.append(Leg(lane, lane, None))
                break
            by_turn: dict[Turn, list[Connector]] = {}
            for way in ways:
                by_turn.setdefault(way.turn, []).append(way)
            turns = list(by_turn)
            weights = np.array([1.0 if turn == Turn.STRAIGHT else turn_weight for turn in turns])
            turn = turns[int(rng.choice(len(turns), p=weights / weights.sum()))]
            # Among several lanes the nearest one; on a change of lanes never across more than one.
            index = self.town.lanes[lane].index
            gap = [abs(self.town.lanes[way.from_lane].index - index) for way in by_turn[turn]]
            if min(gap) > 1:
                turn = min(ways, key=lambda way: abs(self.town.lanes[way.from_lane].index - index)).turn
                gap = [abs(self.town.lanes[way.from_lane].index - index) for way in by_turn[turn]]
            way = by_turn[turn][int(np.argmin(gap))]
            route.append(Leg(lane, way.from_lane, way.fid))
            lane = way.to_lane
        return route

    def line(self, route: Sequence[Leg], style: Style, *, shift: float = 0.0) -> DrivingLine:
        """Driving line of a route; `shift` metres to the left of the lane centres."""
        pieces, marks, limits = [], [], []
        for leg in route:
            lane, last = self.town.lanes[leg.first_lane], self.town.lanes[leg.last_lane]
            pieces.append(_change(lane, last))
            marks.append((lane.roadblock, None, None, lane.fid if lane.fid == last.fid else None))
            limits.append(lane.speed_limit)
            if leg.connector is not None:
                connector = self.town.connectors[leg.connector]
                pieces.append(connector.centre)
                marks.append((connector.roadblock, connector, connector.turn, None))
                limits.append(connector.speed_limit)
        base = np.concatenate([pieces[0], *(piece[1:] for piece in pieces[1:])])
        ends = np.cumsum([curves.arc_length(piece)[-1] for piece in pieces])
        return _finish(base, ends, marks, limits, style, shift)


def _change(lane: Lane, last: Lane) -> Float:
    if lane.fid == last.fid:
        return lane.centre
    along = curves.arc_length(lane.centre)
    u = np.clip((along / along[-1] - 0.25) / 0.5, 0.0, 1.0)[:, None]
    u = u * u * (3 - 2 * u)
    return lane.centre * (1 - u) + last.centre * u


def _finish(
    base: Float, ends: Float, marks: list[tuple[int, Connector | None, Turn | None, int | None]], limits: list[float],
    style: Style, shift: float,
) -> DrivingLine:  # fmt: skip
    line = curves.smooth(base, SMOOTHING_M, SPACING_M)
    before = np.linspace(0.0, ends[-1], len(line))
    if shift:
        line = curves.offset(line, shift)
    after = curves.arc_length(line)
    ends = np.interp(ends, before, after)
    starts = np.concatenate([[0.0], ends[:-1]])
    spans, gates = [], []
    for start, end, (roadblock, connector, turn, lane) in zip(starts, ends, marks, strict=True):
        spans.append(Span(float(start), float(end), roadblock, turn, lane))
        if connector is not None:
            gates.append(
                Gate(float(start), float(end), connector.fid, connector.intersection, connector.lit, connector.turn)
            )
    pose = _poses(curves.resample(line, SPACING_M))
    scale = (len(pose) - 1) * SPACING_M / after[-1]
    spans = [Span(s.start * scale, s.end * scale, s.roadblock, s.turn, s.lane) for s in spans]
    gates = [Gate(g.stop * scale, g.exit * scale, g.connector, g.intersection, g.lit, g.turn) for g in gates]
    limit = np.array(limits)[np.searchsorted(ends * scale, np.arange(len(pose)) * SPACING_M).clip(0, len(limits) - 1)]
    return DrivingLine(pose, comfortable_speed(pose, limit, style), tuple(gates), tuple(spans))


def _poses(line: Float) -> Float:
    return np.column_stack([line, curves.headings(line)])


def comfortable_speed(pose: Float, limit: Float, style: Style) -> Float:
    """Largest speed at every vertex that keeps the limit, the lateral acceleration and the planned braking.

    Args:
        pose: (P, 3) vertices of the line, `SPACING_M` apart.
        limit: (P,) speed limits, m/s.
        style: the driver.
    """
    bend = np.abs(np.gradient(pose[:, 2], SPACING_M))
    speed = np.minimum(limit * style.speed_factor, np.sqrt(style.lateral_mps2 / np.maximum(bend, 1e-4)))
    speed = np.minimum(speed, style.top_speed)
    square = speed**2
    for k in range(len(square) - 2, -1, -1):
        square[k] = min(square[k], square[k + 1] + 2 * style.braking_mps2 * SPACING_M)
    return np.sqrt(square)


def moved_aside(line: DrivingLine, aside: Float, style: Style) -> DrivingLine:
    """The line shifted to the left by `aside` (P,) metres, gates and spans carried along."""
    moved = curves.offset(line.pose[:, :2], aside)
    after = curves.arc_length(moved)
    pose = _poses(curves.resample(moved, SPACING_M))
    scale = (len(pose) - 1) * SPACING_M / after[-1]
    at = np.arange(len(line.pose)) * SPACING_M

    def new(s: float) -> float:
        return float(np.interp(s, at, after)) * scale

    gates = tuple(Gate(new(g.stop), new(g.exit), g.connector, g.intersection, g.lit, g.turn) for g in line.gates)
    spans = tuple(Span(new(s.start), new(s.end), s.roadblock, s.turn, s.lane) for s in line.spans)
    allowed = np.interp(np.arange(len(pose)) * SPACING_M, after * scale, line.speed)
    return DrivingLine(pose, comfortable_speed(pose, allowed, style), gates, spans)


def around_obstacles(
    line: DrivingLine,
    boxes: Float,
    half_width: float,
    style: Style,
    *,
    drift: Float | None = None,
    clearance: float = 0.75,
    most: float = 4.2,
) -> DrivingLine:
    """Move a driving line to the left where standing boxes reach into its corridor from the right.

    Args:
        line: driving line along lane centres.
        boxes: (N, 5) x, y, heading, length, width of things that stand still.
        half_width: of the vehicle, m.
        style: the driver.
        drift: (P,) how far left of the lane centre the driver is anyhow, m.
        clearance: wanted beside the obstacle, m.
        most: obstacles that would need a larger shift are left alone (the driver stops behind them).
    """
    along = np.arange(len(line.pose), dtype=np.float64) * SPACING_M
    aside, slow = np.zeros(len(along)), np.full(len(along), np.inf)
    for box in boxes:
        stretch = _passing(line, along, box, half_width + clearance, most)
        if stretch is None:
            continue
        first, last, need = stretch
        rise = np.clip((along - (first - RAMP_M)) / RAMP_M, 0.0, 1.0)
        fall = np.clip(((last + RAMP_M) - along) / RAMP_M, 0.0, 1.0)
        ramp = np.minimum(rise, fall)
        slow[(along > first - 8.0) & (along < last)] = PASSING_MPS
        aside = np.maximum(aside, need * ramp * ramp * ramp * (ramp * (6 * ramp - 15) + 10))
    if aside.any():
        aside = gaussian_filter1d(aside, 2.0)
    if drift is not None:
        aside = aside + drift
    if not aside.any():
        return line
    return moved_aside(replace(line, speed=np.minimum(line.speed, slow)), aside, style)


def _passing(
    line: DrivingLine, along: Float, box: Float, beside: float, most: float
) -> tuple[float, float, float] | None:
    """Where on the line a driver has to be aside for one box, and how far; None if the box is not in the way."""
    vertices = line.pose[:, :2]
    away = np.hypot(*(vertices - box[:2]).T)
    reach = beside + np.hypot(box[3], box[4]) / 2
    if away.min() > reach:
        return None
    at = int(away.argmin())
    window = slice(max(at - 12, 0), at + 13)
    s, d = curves.project(vertices[window], along[window], box_corners(box))
    need = float(d.max()) + beside
    if need <= 0.05 or need > most or d.min() > 0.0:
        return None
    # More than half a lane: take the lane beside.
    need = LANE_M if need > LANE_M * 0.4 else need
    return float(s.min()) - 2.0, float(s.max()) + 2.0, need


def box_corners(box: Float) -> Float:
    """Corners (4, 2) of a box x, y, heading, length, width."""
    c, s = np.cos(box[2]), np.sin(box[2])
    half = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * box[3:5] / 2
    return box[:2] + half @ np.array([[c, s], [-s, c]])

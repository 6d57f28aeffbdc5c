"""Drivers behind somebody slow change to the lane beside, if there is one and it is free."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.town import curves
from navforge.town.kernels import blocking_boxes
from navforge.town.paths import (
    SPACING_M,
    DrivingLine,
    Gate,
    LaneGraph,
    Span,
    Style,
    around_obstacles,
    comfortable_speed,
)

Float = NDArray[np.float64]

SLOW_SHARE = 0.7
"""A leader slower than this share of the own comfortable speed is worth overtaking."""
NEAR_M = 24.0
ROOM_M = 34.0
"""Of road left on the lane, for the change itself."""
FREE_BEHIND_M = 14.0
FREE_AHEAD_M = 16.0
BEHIND_M = 14
"""Vertices of the old line kept behind the vehicle."""
STYLE = Style(speed_factor=1.0, lateral_mps2=2.2)
LEGS = 4


class LaneChanger:
    """Makes the lines of lane changes in one log."""

    def __init__(self, graph: LaneGraph, stills: Float, rng: np.random.Generator) -> None:
        """Remember the lane graph, the boxes (N, 5) that stand still, and where the new routes are drawn from."""
        self._graph, self._stills, self._rng = graph, stills, rng

    def line(self, old: DrivingLine, s: float, v: float, half_width: float, boxes: Float) -> DrivingLine | None:
        """A line that leads from the old one, `BEHIND_M` before arc length s, to a free lane beside it.

        Args:
            old: the line being followed.
            s: where the vehicle is on it.
            v: its speed, m/s.
            half_width: of the vehicle, m.
            boxes: (N, 5) all other vehicles.

        Returns:
            The new line, on which the vehicle is at arc length `BEHIND_M`; None if there is no lane or no room.
        """
        span = next((span for span in old.spans if span.start + BEHIND_M + 1.0 < s < span.end - ROOM_M), None)
        if span is None or span.lane is None:
            return None
        town = self._graph.town
        lane = town.lanes[span.lane]
        beside = [fid for fid in town.roadblocks[lane.roadblock].lanes if abs(town.lanes[fid].index - lane.index) == 1]
        for fid in beside:
            route = self._graph.random_route(fid, LEGS, self._rng, change_lanes=False)
            target = around_obstacles(self._graph.line(route, STYLE), self._stills, half_width, STYLE)
            new = _joined(old, s, target, max(18.0, 3.0 * v))
            if _free(target, old.at(s)[:2], boxes) and self._passable(new, half_width):
                return new
        return None

    def _passable(self, line: DrivingLine, half_width: float) -> bool:
        vertices = np.ascontiguousarray(line.pose[:, :2])
        return not bool(blocking_boxes(vertices, self._stills, half_width + 0.25).any())


def _free(target: DrivingLine, at: Float, boxes: Float) -> bool:
    along = np.arange(len(target.pose), dtype=np.float64) * SPACING_M
    s, d = curves.project(target.pose[:, :2], along, np.concatenate([at[None], boxes[:, :2]]))
    ahead = s[1:] - s[0]
    close = (ahead > -FREE_BEHIND_M) & (ahead < FREE_AHEAD_M) & (np.abs(d[1:]) < 2.2)
    return not bool(close.any())


def _joined(old: DrivingLine, s: float, target: DrivingLine, length: float) -> DrivingLine:
    along = np.arange(len(target.pose), dtype=np.float64) * SPACING_M
    start = float(curves.project(target.pose[:, :2], along, old.at(s)[None, :2])[0][0])
    before = np.array([old.at(s + u)[:2] for u in np.arange(-BEHIND_M, 0.0)])
    steps = np.arange(0.0, length, SPACING_M)
    w = (steps / length)[:, None]
    w = w * w * w * (w * (6 * w - 15) + 10)
    across = np.array([old.at(s + u)[:2] for u in steps]) * (1 - w)
    across += np.array([target.at(start + u)[:2] for u in steps]) * w
    rest = target.pose[int(np.ceil((start + length) / SPACING_M)) :, :2]
    line = np.concatenate([before, across, rest])
    moved = curves.arc_length(line)
    shift = float(moved[-1]) - target.length
    vertices = curves.resample(line, SPACING_M)
    pose = np.column_stack([vertices, curves.headings(vertices)])
    allowed = np.interp(np.arange(len(pose)) * SPACING_M - shift, along, target.speed)
    gates = tuple(
        Gate(g.stop + shift, g.exit + shift, g.connector, g.intersection, g.lit, g.turn) for g in target.gates
    )
    spans = tuple(Span(max(p.start + shift, 0.0), p.end + shift, p.roadblock, p.turn, p.lane) for p in target.spans)
    return DrivingLine(pose, comfortable_speed(pose, allowed, STYLE), gates, spans)

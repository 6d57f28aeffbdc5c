"""The street plan of a town: a jittered grid of nodes, roads between them, and where every road meets its junctions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.town import curves
from navforge.town.scales import PlanConfig

Float = NDArray[np.float64]

CROSSWALK_DEPTH_M = 4.6
"""From the stop line to where the kerb corner begins; holds the crosswalk."""
STUB_M = 9.0
"""Roads are straight for this long at a junction."""
GUTTER_M = 0.7
"""The outermost lane is this much wider on its right than its centre line tells, as most real ones are."""
MEAN_WIDTH_M = 3.8
"""Of the lanes whose widths are drawn from 3.65 m to 3.95 m."""
SPACING_M = 2.0
"""Between vertices of roads and lanes."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One road as it leaves a junction."""

    road: int
    at_start: bool
    """The junction is the road's start (else its end)."""
    direction: Float
    """(2,) unit vector away from the junction."""
    half_width: float
    cut: float
    """Distance from the junction's centre to the stop line."""


@dataclass(frozen=True, slots=True)
class Node:
    """One junction."""

    position: Float
    arms: tuple[Arm, ...]
    """Counter-clockwise."""
    kerb_radius: float


@dataclass(frozen=True, slots=True)
class Road:
    """Two-way road: its middle line from stop line to stop line."""

    middle: Float
    lanes: int
    """Per direction."""
    lane_width: float
    nodes: tuple[int, int]

    @property
    def half_width(self) -> float:
        """From the middle to the outer edge of the outermost lane, gutter included."""
        return _half_width(self.lanes, self.lane_width)


@dataclass(frozen=True, slots=True)
class Plan:
    """Nodes and roads."""

    nodes: tuple[Node, ...]
    roads: tuple[Road, ...]


@dataclass
class _Link:
    nodes: tuple[int, int]
    corner: int | None
    lanes: int
    lane_width: float


def make_plan(config: PlanConfig, rng: np.random.Generator) -> Plan:
    """Draw a street plan. Every node has three or four arms; grid corners become bends of one long road."""
    rows, columns = config.rows, config.columns
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2) * config.spacing_m
    position = grid + rng.uniform(-config.jitter_m, config.jitter_m, grid.shape)
    links = _links(config, rng)
    angles = _arm_angles(position, links, rng)
    cuts, kerbs = _cuts(links, angles, len(position), rng)
    roads = tuple(_road(link, position, angles[n], cuts[n], config, rng) for n, link in enumerate(links))
    nodes, index = [], {}
    for n in range(len(position)):
        arms = [
            Arm(r, end == 0, _unit(angles[r][end]), _half_width(link.lanes, link.lane_width), cuts[r][end])
            for r, link in enumerate(links)
            for end in (0, 1)
            if link.nodes[end] == n
        ]
        if arms:
            arms.sort(key=lambda arm: float(np.arctan2(arm.direction[1], arm.direction[0])))
            index[n] = len(nodes)
            nodes.append(Node(position[n], tuple(arms), kerbs[n]))
    roads = tuple(
        Road(road.middle, road.lanes, road.lane_width, (index[road.nodes[0]], index[road.nodes[1]])) for road in roads
    )
    return Plan(tuple(nodes), roads)


def _links(config: PlanConfig, rng: np.random.Generator) -> list[_Link]:
    rows, columns = config.rows, config.columns
    lanes_of_row = rng.choice([1, 2, 3], rows, p=[0.5, 0.38, 0.12])
    lanes_of_column = rng.choice([1, 2, 3], columns, p=[0.5, 0.38, 0.12])
    lanes_of_row[[0, -1]] = lanes_of_column[[0, -1]] = 1  # the ring road bends at its corners: one class all around
    wider = config.lane_width_m - MEAN_WIDTH_M
    width_of_row, width_of_column = rng.uniform(3.65, 3.95, rows) + wider, rng.uniform(3.65, 3.95, columns) + wider
    width_of_row[[0, -1]] = width_of_column[[0, -1]] = config.lane_width_m
    inner, links = [], []
    for r in range(rows):
        for c in range(columns):
            for dr, dc in ((0, 1), (1, 0)):
                if r + dr >= rows or c + dc >= columns:
                    continue
                lanes = lanes_of_row[r] if dc else lanes_of_column[c]
                width = width_of_row[r] if dc else width_of_column[c]
                ring = (dc and r in (0, rows - 1)) or (dr and c in (0, columns - 1))
                link = _Link((r * columns + c, (r + dr) * columns + c + dc), None, int(lanes), float(width))
                (links if ring else inner).append(link)
    links += _without_some(inner, config, rng)
    return _bend_corners(links, rows, columns)


def _without_some(inner: list[_Link], config: PlanConfig, rng: np.random.Generator) -> list[_Link]:
    columns, rows = config.columns, config.rows
    degree = {r * columns + c: 4 for r in range(1, rows - 1) for c in range(1, columns - 1)}
    dropped: set[int] = set()
    for n in rng.permutation(len(inner)):
        if len(dropped) >= config.missing_share * len(inner):
            break
        a, b = inner[n].nodes
        if degree.get(a, 0) == 4 and degree.get(b, 0) == 4:
            degree[a] = degree[b] = 3
            dropped.add(int(n))
    return [link for n, link in enumerate(inner) if n not in dropped]


def _bend_corners(links: list[_Link], rows: int, columns: int) -> list[_Link]:
    corners = (0, columns - 1, (rows - 1) * columns, rows * columns - 1)
    for corner in corners:
        touching = [link for link in links if corner in link.nodes]
        ends = [next(n for n in link.nodes if n != corner) for link in touching]
        links = [link for link in links if corner not in link.nodes]
        links.append(_Link((ends[0], ends[1]), corner, touching[0].lanes, touching[0].lane_width))
    return links


def _arm_angles(position: Float, links: list[_Link], rng: np.random.Generator) -> list[list[float]]:
    """Direction of each road's arm at both of its nodes, bent a little, but never closer than 62 degrees."""
    angles = []
    for link in links:
        a, b = position[link.nodes[0]], position[link.nodes[1]]
        via = position[link.corner] if link.corner is not None else None
        ahead = [(b if via is None else via) - a, (a if via is None else via) - b]
        angles.append([float(np.arctan2(v[1], v[0])) for v in ahead])
    for n in range(len(position)):
        ends = [(r, e) for r, link in enumerate(links) for e in (0, 1) if link.nodes[e] == n]
        ends.sort(key=lambda end: angles[end[0]][end[1]])
        original = [angles[r][e] for r, e in ends]
        for _ in range(20):
            trial = [value + rng.uniform(-0.16, 0.16) for value in original]
            gaps = np.diff([*trial, trial[0] + 2 * np.pi]) if trial else np.array([np.pi])
            if gaps.min() > np.radians(68):
                for (r, e), value in zip(ends, trial, strict=True):
                    angles[r][e] = float(value)
                break
    return angles


def _cuts(
    links: list[_Link], angles: list[list[float]], count: int, rng: np.random.Generator
) -> tuple[list[list[float]], list[float]]:
    """Distance from each node to the stop line on each arm: beyond both kerb corners and the crosswalk."""
    cuts = [[0.0, 0.0] for _ in links]
    kerbs = [float(value) for value in rng.uniform(10.0, 13.5, count)]
    for n in range(count):
        ends = [(r, e) for r, link in enumerate(links) for e in (0, 1) if link.nodes[e] == n]
        ends.sort(key=lambda end: angles[end[0]][end[1]])
        for k, (r, e) in enumerate(ends):
            need = 8.0
            for other, after in ((ends[(k + 1) % len(ends)], True), (ends[k - 1], False)):
                gap = angles[other[0]][other[1]] - angles[r][e]
                gap = (gap if after else -gap) % (2 * np.pi)
                if gap > np.radians(150):
                    continue
                own, its = (_half_width(links[x].lanes, links[x].lane_width) for x in (r, other[0]))
                need = max(need, (its + own * np.cos(gap)) / np.sin(gap) + kerbs[n] / np.tan(gap / 2))
            cuts[r][e] = float(need + CROSSWALK_DEPTH_M)
    return cuts, kerbs


def _road(
    link: _Link, position: Float, angles: list[float], cuts: list[float], config: PlanConfig, rng: np.random.Generator
) -> Road:
    u, v = _unit(angles[0]), _unit(angles[1])
    start, end = position[link.nodes[0]] + cuts[0] * u, position[link.nodes[1]] + cuts[1] * v
    if link.corner is not None:
        corner = curves.crossing(start, u, end, v)
        corner = position[link.corner] if corner is None else corner
        base = curves.smooth(curves.fillet(start, corner, end, float(rng.uniform(32.0, 46.0))), 6.0, SPACING_M)
        return Road(curves.resample(base, SPACING_M), link.lanes, link.lane_width, link.nodes)
    bend = rng.uniform(0.35, 1.0) * config.bend_m * rng.choice([-1.0, 1.0])
    waves = rng.choice([0, 0, 1])
    limit = 1 / (38.0 + link.lanes * link.lane_width)
    while True:
        middle = _swing(start, u, end, v, bend, int(waves))
        if np.abs(curves.curvature(middle)[2:-2]).max() < limit or abs(bend) < 0.3:
            return Road(middle, link.lanes, link.lane_width, link.nodes)
        bend *= 0.85


def _swing(start: Float, u: Float, end: Float, v: Float, bend: float, waves: int) -> Float:
    inner = curves.resample(curves.hermite(start + STUB_M * u, u, end + STUB_M * v, -v), 1.0)
    t = np.linspace(0.0, 1.0, len(inner))
    swing = bend * np.sin(np.pi * t) ** 2
    if waves:
        swing = 0.8 * bend * np.sin(np.pi * t) ** 2 * np.sin(2 * np.pi * t)
    inner = curves.offset(inner, swing)
    return curves.smooth(np.concatenate([start[None], inner, end[None]]), 2.5, SPACING_M)


def _half_width(lanes: int, lane_width: float) -> float:
    return lanes * lane_width + GUTTER_M


def _unit(angle: float) -> Float:
    return np.array([np.cos(angle), np.sin(angle)])

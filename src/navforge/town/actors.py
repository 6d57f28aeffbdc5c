"""Who and what is in one log: ego's route, other drivers, parked vehicles, work zones, people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.vehicle import EGO_WIDTH_M
from navforge.town import curves
from navforge.town.kernels import blocking_boxes as _blocking
from navforge.town.paths import SPACING_M, DrivingLine, LaneGraph, Leg, Style, around_obstacles
from navforge.town.pedestrians import Crosser, Pedestrians, Walker
from navforge.town.traffic import Driver, Manner, make_driver, make_ego
from navforge.town.world import ActorKind, CarPark, Lane, TownMap

Float = NDArray[np.float64]
Size = tuple[float, float, float]

WAIT_M = 2.2
"""People wait this far behind the kerb."""
NEAR_ROUTE_M = 90.0
"""Drivers, parked vehicles and people are put this close to ego's route."""
AHEAD_M = 260.0
"""Ego's route is peopled this far."""


@dataclass(frozen=True, slots=True)
class Still:
    """A thing that stands still all the time."""

    kind: ActorKind
    box: Float
    """(5,) x, y, heading, length, width."""
    height: float
    colour: int


@dataclass(frozen=True, slots=True)
class Cast:
    """Everything in one log at its beginning; ego is the first driver."""

    drivers: list[Driver]
    stills: list[Still]
    pedestrians: Pedestrians
    ego_route: list[Leg]


def draw_size(kind: ActorKind, rng: np.random.Generator) -> Size:
    """Length, width, height of a vehicle of this kind."""
    low, high = {
        ActorKind.CAR: ((4.1, 1.75, 1.4), (4.9, 1.95, 1.7)),
        ActorKind.VAN: ((4.9, 1.9, 1.9), (5.9, 2.05, 2.5)),
        ActorKind.TRUCK: ((6.5, 2.2, 2.8), (8.5, 2.4, 3.4)),
        ActorKind.BUS: ((10.5, 2.4, 2.9), (12.0, 2.5, 3.2)),
        ActorKind.BICYCLE: ((1.7, 0.55, 1.6), (1.9, 0.65, 1.8)),
    }[kind]
    return tuple(float(value) for value in rng.uniform(low, high))  # type: ignore[return-value]


def assemble(town: TownMap, graph: LaneGraph, rng: np.random.Generator) -> Cast:
    """Draw a log's cast.

    Args:
        town: the map.
        graph: its lane graph.
        rng: of everything.
    """
    route, start = _ego_route(town, graph, rng)
    style = Style(
        speed_factor=float(rng.uniform(0.95, 1.04)),
        lateral_mps2=float(rng.uniform(1.3, 1.9)),
        braking_mps2=float(rng.uniform(1.2, 1.7)),
    )
    plain = graph.line(route, style)
    near = _nearness(plain, start)
    stills = _parked(town, near, rng)
    stills += _obstructions(town, plain, start, rng)
    wander = _wander(plain, rng)
    line, stills = _passable(plain, stills, style, wander)
    boxes = np.array([still.box for still in stills]).reshape(-1, 5)
    manner = Manner(
        acceleration=float(rng.uniform(1.5, 2.1)),
        braking=float(rng.uniform(1.6, 2.2)),
        headway_s=float(rng.uniform(1.1, 1.6)),
        standstill_m=float(rng.uniform(2.4, 3.6)),
        stop_short_m=float(rng.uniform(0.8, 1.8)),
    )
    ego = make_ego(line, manner, start, float(line.speed[int(start)]) * float(rng.uniform(0.5, 0.9)))
    drivers = [ego, *_others(town, graph, route, plain, start, near, boxes, rng)]
    return Cast(drivers, stills, _people(town, near, rng), route)


def _passable(plain: DrivingLine, stills: list[Still], style: Style, wander: Float) -> tuple[DrivingLine, list[Still]]:
    """Ego's line around everything, after removing what leaves no room to pass."""
    while True:
        boxes = np.array([still.box for still in stills]).reshape(-1, 5)
        line = around_obstacles(plain, boxes, EGO_WIDTH_M / 2, style, drift=wander)
        blocking = blocking_boxes(line, boxes, EGO_WIDTH_M / 2 + 0.3)
        if not blocking.any():
            return line, stills
        stills = [still for still, bad in zip(stills, blocking, strict=True) if not bad]


def _ego_route(town: TownMap, graph: LaneGraph, rng: np.random.Generator) -> tuple[list[Leg], float]:
    lane = int(rng.choice(list(town.lanes)))
    route = graph.random_route(lane, 6, rng, change_lanes=True, turn_weight=2.2)
    length = float(curves.arc_length(town.lanes[lane].centre)[-1])
    return route, float(rng.uniform(2.0, max(length - 62.0, 6.0)))


def _nearness(line: DrivingLine, start: float) -> Callable[[Float], NDArray[np.bool_]]:
    first = int(start / SPACING_M)
    route = line.pose[max(first - 30, 0) : first + int(AHEAD_M / SPACING_M) : 4, :2]

    def near(points: Float) -> NDArray[np.bool_]:
        gap = np.asarray(points).reshape(-1, 1, 2) - route
        return np.sqrt((gap**2).sum(axis=2)).min(axis=1) < NEAR_ROUTE_M

    return near


def _wander(line: DrivingLine, rng: np.random.Generator) -> Float:
    """How far left of the lane centre this driver is along the line, (P,), m."""
    s = np.arange(len(line.pose)) * SPACING_M
    waves = [
        amplitude * np.sin(2 * np.pi * s / rng.uniform(0.8, 1.3) / period + rng.uniform(0, 2 * np.pi))
        for amplitude, period in ((0.09, 95.0), (0.05, 48.0), (0.02, 27.0))
    ]
    return np.sum(waves, axis=0) + float(rng.normal(0.0, 0.05))


def _strip_lines(park: CarPark) -> tuple[Float, Float]:
    """Outer and inner edge of a parking strip, in driving direction."""
    half = len(park.polygon) // 2
    return park.polygon[:half], park.polygon[half:][::-1]


def blocking_boxes(line: DrivingLine, boxes: Float, half_width: float) -> NDArray[np.bool_]:
    """(N,) which boxes reach into the corridor of a line."""
    return _blocking(np.ascontiguousarray(line.pose[:, :2]), boxes, half_width)


def _parked(town: TownMap, near: Callable[[Float], NDArray[np.bool_]], rng: np.random.Generator) -> list[Still]:
    stills = []
    for park in town.carparks:
        outer, inner = _strip_lines(park)
        if not near(inner[:: len(inner) - 1]).any():
            continue
        stills += _lot_vehicles(outer, inner, rng) if park.lot else _kerb_vehicles(outer, inner, rng)
    return stills


def _kerb_vehicles(outer: Float, inner: Float, rng: np.random.Generator) -> list[Still]:
    stills = []
    middle = (outer + inner) / 2
    along, heading = curves.arc_length(middle), curves.headings(middle)
    at = float(rng.uniform(0.5, 4.0))
    share, untidy = rng.uniform(0.25, 0.9), rng.uniform(0.02, 0.16)
    while True:
        kind = ActorKind(int(rng.choice([ActorKind.CAR, ActorKind.VAN], p=[0.86, 0.14])))
        size = draw_size(kind, rng)
        colour = int(rng.integers(1 << 31))
        present, wild = rng.random() < share, rng.random() < untidy
        aside, skew = rng.uniform(-0.2, -0.05), rng.normal(0.0, 0.012)
        bends_left = np.interp(at, along, np.gradient(heading, along)) > 1 / 150
        if wild and not bends_left:
            aside, skew = rng.uniform(0.7, 1.6), rng.normal(0.0, 0.05)
        if at + size[0] > along[-1] - 0.3:
            return stills
        if present:
            foot = curves.interpolate(middle, along, np.array([at + size[0] / 2]))[0]
            angle = float(np.interp(at + size[0] / 2, along, heading))
            foot = foot + aside * np.array([-np.sin(angle), np.cos(angle)])
            box = np.array([foot[0], foot[1], angle + skew, size[0], size[1]])
            stills.append(Still(kind, box, size[2], colour))
        at += size[0] + float(rng.uniform(1.1, 2.4))


def _lot_vehicles(outer: Float, inner: Float, rng: np.random.Generator) -> list[Still]:
    stills = []
    row = outer + (inner - outer) * (3.4 / 15.0)
    along, heading = curves.arc_length(row), curves.headings(row)
    for at in np.arange(2.5, along[-1] - 2.0, 2.9):
        size = draw_size(ActorKind.CAR, rng)
        colour, present, flip = int(rng.integers(1 << 31)), rng.random() < 0.6, rng.random() < 0.5
        if present:
            foot = curves.interpolate(row, along, np.array([at]))[0]
            angle = float(np.interp(at, along, heading)) + (np.pi / 2 if flip else -np.pi / 2)
            stills.append(Still(ActorKind.CAR, np.array([foot[0], foot[1], angle, size[0], size[1]]), size[2], colour))
    return stills


def _obstructions(town: TownMap, line: DrivingLine, start: float, rng: np.random.Generator) -> list[Still]:
    """Work zones and standing vehicles on the lanes ego drives, where there is room to pass."""
    stills: list[Still] = []
    for span in line.spans:
        if span.turn is not None or span.end < start + 60.0 or span.start > start + AHEAD_M:
            continue
        block = town.roadblocks[span.roadblock]
        draw, where = rng.random(), rng.uniform(0.42, 0.62)
        lane = town.lanes[block.lanes[-1]]
        if draw < 0.22:
            stills += _work_zone(lane, where, 3.3 if len(block.lanes) > 1 else 1.75, rng)
        elif draw < 0.45 and len(block.lanes) > 1:
            stills.append(_standing_vehicle(lane, where, rng))
    return stills


def _along_lane(lane: Lane, s: float, from_right: float) -> tuple[Float, float]:
    along = curves.arc_length(lane.right)
    foot = curves.interpolate(lane.right, along, np.array([s]))[0]
    angle = float(np.interp(s, along, curves.headings(lane.right)))
    return foot + from_right * np.array([-np.sin(angle), np.cos(angle)]), angle


def _work_zone(lane: Lane, where: float, depth: float, rng: np.random.Generator) -> list[Still]:
    """Sign, taper of cones and a row of barriers that take `depth` metres of the lane's right side."""
    length = float(curves.arc_length(lane.right)[-1])
    first = where * length - 12.0
    stills = []

    def put(kind: ActorKind, s: float, right: float, size: Size, turn: float = 0.0) -> None:
        at, angle = _along_lane(lane, s, right)
        box = np.array([at[0], at[1], angle + turn, size[0], size[1]])
        stills.append(Still(kind, box, size[2], int(rng.integers(1 << 31))))

    put(ActorKind.SIGN, first - 4.0, -0.2, (0.3, 0.8, 1.5))
    taper = np.linspace(0.0, 1.0, 5)
    for t in taper:
        put(ActorKind.CONE, first + 9.0 * t, 0.25 + (depth - 0.45) * t, (0.35, 0.35, 0.75))
    for k in range(int(rng.integers(3, 6))):
        put(ActorKind.BARRIER, first + 11.0 + 2.2 * k, depth - 0.3, (1.8, 0.5, 1.0))
    put(ActorKind.GENERIC, first + 13.0, depth * 0.35, (1.0, 0.8, 1.1), float(rng.uniform(0, 3)))
    return stills


def _standing_vehicle(lane: Lane, where: float, rng: np.random.Generator) -> Still:
    kind = ActorKind(int(rng.choice([ActorKind.VAN, ActorKind.TRUCK, ActorKind.CAR], p=[0.5, 0.25, 0.25])))
    size = draw_size(kind, rng)
    at, angle = _along_lane(lane, where * float(curves.arc_length(lane.right)[-1]), size[1] / 2 + 0.25)
    return Still(kind, np.array([at[0], at[1], angle, size[0], size[1]]), size[2], int(rng.integers(1 << 31)))


def _others(
    town: TownMap,
    graph: LaneGraph,
    route: list[Leg],
    plain: DrivingLine,
    start: float,
    near: Callable[[Float], NDArray[np.bool_]],
    boxes: Float,
    rng: np.random.Generator,
) -> list[Driver]:
    taken = [plain.at(start)[:2]]
    drivers = []
    if rng.random() < 0.6:
        ahead = start + float(rng.uniform(16.0, 34.0))
        leader = _leader(graph, route, ahead, boxes, rng)
        if leader is not None:
            drivers.append(leader)
            taken.append(leader.line.at(leader.s)[:2])
    density = float(rng.uniform(0.12, 0.4))
    for lane in town.lanes.values():
        along = curves.arc_length(lane.centre)
        slots = np.arange(5.0, along[-1] - 8.0, 15.0)
        slots = slots + rng.uniform(0.0, 5.0, len(slots))
        chosen = rng.random(len(slots)) < density
        spots = curves.interpolate(lane.centre, along, slots)
        for s, spot in zip(slots[chosen & near(spots)], spots[chosen & near(spots)], strict=True):
            apart = [float(np.hypot(*(spot - other))) for other in taken]
            if min(apart) < 11.0 or apart[0] < 16.0:
                continue
            if len(boxes) and _occupied(boxes, spot):
                continue
            driver = _driver(town, graph, lane, float(s), boxes, rng)
            if driver is not None:
                taken.append(spot)
                drivers.append(driver)
    return drivers


def _occupied(boxes: Float, spot: Float) -> bool:
    return bool((np.hypot(*(boxes[:, :2] - spot).T) < boxes[:, 3] / 2 + 4.0).any() and _blocks(boxes, spot))


def _blocks(boxes: Float, spot: Float) -> bool:
    gap = spot - boxes[:, :2]
    c, s = np.cos(boxes[:, 2]), np.sin(boxes[:, 2])
    along, across = np.abs(c * gap[:, 0] + s * gap[:, 1]), np.abs(c * gap[:, 1] - s * gap[:, 0])
    return bool(((along < boxes[:, 3] / 2 + 5.0) & (across < boxes[:, 4] / 2 + 1.2)).any())


def _leader(graph: LaneGraph, route: list[Leg], ahead: float, boxes: Float, rng: np.random.Generator) -> Driver | None:
    style = Style(speed_factor=float(rng.uniform(0.5, 0.95)), lateral_mps2=2.2)
    kind, size = _vehicle(rng)
    line = around_obstacles(graph.line(route, style), boxes, size[1] / 2, style)
    if blocking_boxes(line, boxes, size[1] / 2 + 0.25).any():
        return None
    driver = make_driver(kind, size, line, _manner(rng), ahead, 0.0, int(rng.integers(1 << 31)))
    driver.v = 0.8 * float(line.speed[int(ahead)])
    if rng.random() < 0.5:
        driver.halts = [(ahead + float(rng.uniform(35.0, 110.0)), float(rng.uniform(2.5, 5.0)))]
    return driver


def _driver(
    town: TownMap, graph: LaneGraph, lane: Lane, s: float, boxes: Float, rng: np.random.Generator
) -> Driver | None:
    rightmost = lane.fid == town.roadblocks[lane.roadblock].lanes[-1]
    route = graph.random_route(lane.fid, 5, rng, change_lanes=False)
    if rightmost and rng.random() < 0.1:
        style = Style(top_speed=float(rng.uniform(3.8, 5.5)), lateral_mps2=2.0)
        kind, size, shift = ActorKind.BICYCLE, draw_size(ActorKind.BICYCLE, rng), -0.9
    else:
        style = Style(speed_factor=float(rng.uniform(0.75, 1.05)), lateral_mps2=float(rng.uniform(1.9, 2.8)))
        (kind, size), shift = _vehicle(rng), 0.0
    line = around_obstacles(graph.line(route, style, shift=shift), boxes, size[1] / 2, style)
    if blocking_boxes(line, boxes, size[1] / 2 + 0.25).any():
        return None
    driver = make_driver(kind, size, line, _manner(rng), s, 0.0, int(rng.integers(1 << 31)))
    driver.v = 0.8 * float(line.speed[int(s)])
    return driver


def _vehicle(rng: np.random.Generator) -> tuple[ActorKind, Size]:
    kinds = [ActorKind.CAR, ActorKind.VAN, ActorKind.TRUCK, ActorKind.BUS]
    kind = ActorKind(int(rng.choice(kinds, p=[0.76, 0.14, 0.07, 0.03])))
    return kind, draw_size(kind, rng)


def _manner(rng: np.random.Generator) -> Manner:
    return Manner(
        acceleration=float(rng.uniform(1.2, 2.0)),
        braking=float(rng.uniform(1.6, 2.4)),
        headway_s=float(rng.uniform(1.0, 1.8)),
        standstill_m=float(rng.uniform(2.0, 3.5)),
        stop_short_m=float(rng.uniform(0.6, 2.0)),
    )


def _people(town: TownMap, near: Callable[[Float], NDArray[np.bool_]], rng: np.random.Generator) -> Pedestrians:
    people = Pedestrians()
    for line in town.footpaths:
        along = curves.arc_length(line)
        for _ in range(int(rng.poisson(along[-1] / 55.0))):
            s, forward = float(rng.uniform(0.0, along[-1])), rng.random() < 0.5
            shifted = curves.offset(line, float(rng.uniform(-0.6, 0.5)))
            walker = Walker(
                shifted,
                curves.arc_length(shifted),
                s if forward else 2 * along[-1] - s,
                float(rng.uniform(0.8, 1.6)),
                int(rng.integers(1 << 31)),
            )
            if near(line[[0, -1]]).any():
                people.walkers.append(walker)
    for walk in town.crosswalks:
        step = walk.line[1] - walk.line[0]
        width = float(np.hypot(*step))
        unit = step / width
        side = np.array([-unit[1], unit[0]])
        for _ in range(int(rng.poisson(1.1))):
            ends = np.stack([walk.line[0] - WAIT_M * unit, walk.line[1] + WAIT_M * unit]) + side * rng.uniform(
                -1.0, 1.0
            )
            ends = ends if rng.random() < 0.5 else ends[::-1].copy()
            crosser = Crosser(
                ends,
                walk.arm,
                float(rng.uniform(0.0, 32.0)),
                float(rng.uniform(1.1, 1.7)),
                int(rng.integers(1 << 31)),
                kerbs=(WAIT_M, WAIT_M + width),
            )
            if near(walk.line.mean(axis=0)[None]).any():
                people.crossers.append(crosser)
    return people

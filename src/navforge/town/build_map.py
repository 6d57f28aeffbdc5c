"""From a street plan to a `TownMap`: lanes, junctions, lights, crossings, parking, pavements, paint."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.town import curves
from navforge.town.network import CROSSWALK_DEPTH_M, GUTTER_M, Arm, Node, Plan, Road, make_plan
from navforge.town.scales import PlanConfig
from navforge.town.surroundings import build_surroundings
from navforge.town.world import (
    CarPark,
    Connector,
    Crosswalk,
    Intersection,
    Lane,
    LightHead,
    Paint,
    PaintedLine,
    Roadblock,
    RoadblockConnector,
    StopLine,
    TownMap,
    Turn,
)

Float = NDArray[np.float64]

STRIP_WIDTH_M = 2.5
"""Kerbside parking."""
PAVEMENT_WIDTH_M = 2.6
LOT_DEPTH_M = 15.0
CONNECTOR_SPACING_M = 1.0
TURN_LATERAL_MPS2 = 2.4
"""Lateral acceleration the speed limit of a turning connector allows."""
KERB_RECESS_M = 0.9
"""How far the kerb opposite a T junction's stem draws back."""
WIDE_TURN_M = 2.0
"""A right turn is driven on an arc this much tighter than the kerb's, so that its ends lie farther from the kerb."""
MPH = 0.44704

# First feature id of each kind; the kinds a reader mixes never share one.
CONNECTOR_FID, ROADBLOCK_CONNECTOR_FID, LANE_FID = 10001, 20001, 30001
INTERSECTION_FID, ROADBLOCK_FID, CARPARK_FID = 40001, 60001, 70001
CROSSWALK_FID, STOP_LINE_FID, LIGHT_FID, CONNECTOR_POLYGON_FID = 75001, 80001, 90001, 200001


@dataclass
class _Side:
    """One direction of a road: lanes in driving direction, and what lies right of them."""

    road: int
    roadblock: int
    middle: Float
    lane_fids: list[int]
    edge: Float
    kerb: Float
    """(K,) distance of the kerb from the middle."""
    parking: tuple[int, int] | None = None
    lot: tuple[int, int] | None = None


@dataclass
class _Parts:
    lanes: dict[int, Lane] = field(default_factory=dict)
    connectors: dict[int, Connector] = field(default_factory=dict)
    roadblocks: dict[int, Roadblock] = field(default_factory=dict)
    roadblock_connectors: dict[int, RoadblockConnector] = field(default_factory=dict)
    intersections: dict[int, Intersection] = field(default_factory=dict)
    stop_lines: dict[int, StopLine] = field(default_factory=dict)
    heads: list[LightHead] = field(default_factory=list)
    carparks: list[CarPark] = field(default_factory=list)
    crosswalks: list[Crosswalk] = field(default_factory=list)
    walkways: list[Float] = field(default_factory=list)
    footpaths: list[Float] = field(default_factory=list)
    paint: list[PaintedLine] = field(default_factory=list)
    sides: dict[tuple[int, int], _Side] = field(default_factory=dict)
    """By (road, 0 along the road's middle or 1 against it)."""


def build_map(*, location: str, crs: str, origin: tuple[float, float], plan: PlanConfig, seed: int) -> TownMap:
    """The town of one map location; the same arguments give the same town.

    Args:
        location: nuPlan's name of it.
        crs: its metric CRS.
        origin: town frame origin in that CRS, m.
        plan: shape of the street plan.
        seed: of everything random.
    """
    rng = np.random.default_rng([seed, 1])
    streets = make_plan(plan, rng)
    parts = _Parts()
    for index, road in enumerate(streets.roads):
        _add_road(parts, index, road, rng, white_centre_line=plan.style.white_centre_lines)
    for node in streets.nodes:
        _add_junction(parts, streets, node, rng)
    surfaces = [lane.polygon for lane in parts.lanes.values()]
    surfaces += [area.polygon for area in parts.intersections.values()]
    surfaces += [area.polygon for area in parts.carparks]
    beside = np.random.default_rng([seed, 2])
    surroundings = build_surroundings(surfaces, parts.walkways, _kerb_lines(parts), plan.style.storeys_m, beside)
    corners = np.concatenate([*surfaces, *(b.footprint for b in surroundings.buildings), surroundings.trees[:, :2]])
    low, high = corners.min(axis=0) - 20.0, corners.max(axis=0) + 20.0
    return TownMap(
        location=location,
        seed=seed,
        crs=crs,
        origin=np.array(origin),
        lanes=parts.lanes,
        connectors=parts.connectors,
        roadblocks=parts.roadblocks,
        roadblock_connectors=parts.roadblock_connectors,
        intersections=parts.intersections,
        stop_lines=parts.stop_lines,
        light_heads=tuple(parts.heads),
        carparks=tuple(parts.carparks),
        crosswalks=tuple(parts.crosswalks),
        walkways=tuple(parts.walkways),
        footpaths=tuple(parts.footpaths),
        painted_lines=tuple(parts.paint),
        buildings=surroundings.buildings,
        trees=surroundings.trees,
        poles=surroundings.poles,
        bounds=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
    )


def _add_road(
    parts: _Parts, index: int, road: Road, rng: np.random.Generator, *, white_centre_line: bool = False
) -> None:
    limits = {1: (15, 20, 20), 2: (20, 20, 25), 3: (20, 25, 25)}[road.lanes]
    limit = float(rng.choice(limits)) * MPH
    for way in (0, 1):
        middle = road.middle if way == 0 else road.middle[::-1]
        fid = ROADBLOCK_FID + len(parts.roadblocks)
        reach = [k * road.lane_width for k in range(road.lanes)] + [road.half_width]
        lines = [curves.offset(middle, -r) for r in reach]
        lane_fids = []
        for k in range(road.lanes):
            lane = Lane(
                fid=LANE_FID + len(parts.lanes),
                roadblock=fid,
                index=k,
                centre=curves.offset(middle, -(k + 0.5) * road.lane_width),
                left=lines[k],
                right=lines[k + 1],
                speed_limit=limit,
            )
            parts.lanes[lane.fid] = lane
            lane_fids.append(lane.fid)
        ring = np.concatenate([lines[-1], lines[0][::-1]])
        parts.roadblocks[fid] = Roadblock(fid=fid, lanes=tuple(lane_fids), polygon=ring, road=index)
        side = _Side(index, fid, middle, lane_fids, lines[-1], np.full(len(middle), road.half_width))
        parts.sides[index, way] = side
        _add_parking(parts, side, road, rng)
        _add_pavement(parts, side)
        _paint_side(parts, side, lines)
    gap = curves.offset(road.middle, 0.0)
    kind, width = (Paint.SOLID_WHITE, 0.2) if white_centre_line else (Paint.DOUBLE_YELLOW, 0.4)
    parts.paint.append(PaintedLine(line=gap, kind=kind, width=width))


def _add_parking(parts: _Parts, side: _Side, road: Road, rng: np.random.Generator) -> None:
    along = curves.arc_length(side.middle)
    first, last = np.searchsorted(along, [13.0, along[-1] - 13.0])
    draw = rng.random()
    if last - first < 10:
        return
    if draw < (0.62 if road.lanes == 1 else 0.2):
        depth, lot = STRIP_WIDTH_M, False
        side.parking = (int(first), int(last))
    elif draw < (0.8 if road.lanes == 1 else 0.4):
        depth, lot = LOT_DEPTH_M, True
        length = int(min(16, last - first))
        first = int(rng.integers(first, last - length + 1))
        last = first + length
        side.lot = (first, last)
    else:
        return
    inner = side.edge[first : last + 1]
    outer = curves.offset(side.middle, -(side.kerb + depth))[first : last + 1]
    heading = float(curves.headings(side.middle)[(first + last) // 2])
    ring = np.concatenate([outer, inner[::-1]])
    fid = CARPARK_FID + len(parts.carparks)
    parts.carparks.append(CarPark(fid=fid, polygon=ring, heading=heading, lot=lot))
    side.kerb[first : last + 1] += depth
    if not lot:
        parts.paint.append(PaintedLine(line=inner, kind=Paint.SOLID_WHITE, width=0.1))


def _kerb_of(side: _Side, beyond: float) -> Float:
    """Line `beyond` metres outside the kerb, with square steps at the ends of parking."""
    points = []
    normal = curves.normals(side.middle)
    reach = side.kerb + beyond
    for k in range(len(reach)):
        if k and abs(reach[k] - reach[k - 1]) > 0.5:
            at = k - 1 if reach[k] > reach[k - 1] else k
            wide = max(reach[k], reach[k - 1])
            extra = side.middle[k if at == k - 1 else k - 1] - normal[k if at == k - 1 else k - 1] * wide
            points.append(extra if at == k else side.middle[k] - normal[k] * reach[k - 1])
        points.append(side.middle[k] - normal[k] * reach[k])
    return np.array(points)


def _add_pavement(parts: _Parts, side: _Side) -> None:
    inner, outer = _kerb_of(side, 0.0), _kerb_of(side, PAVEMENT_WIDTH_M)
    parts.walkways.append(_ccw(np.concatenate([outer, inner[::-1]])))
    normal = curves.normals(side.middle)
    reach = side.kerb + PAVEMENT_WIDTH_M * 0.6
    walk = side.middle - normal * reach[:, None]
    parts.footpaths.append(curves.smooth(walk, 1.5, 1.0))


def _paint_side(parts: _Parts, side: _Side, lines: list[Float]) -> None:
    for line in lines[1:-1]:
        parts.paint.append(PaintedLine(line=line, kind=Paint.DASHED_WHITE, width=0.15))
    parts.paint.append(PaintedLine(line=curves.offset(lines[-1], GUTTER_M), kind=Paint.SOLID_WHITE, width=0.12))


def _incoming(parts: _Parts, arm: Arm) -> _Side:
    return parts.sides[arm.road, 1 if arm.at_start else 0]


def _outgoing(parts: _Parts, arm: Arm) -> _Side:
    return parts.sides[arm.road, 0 if arm.at_start else 1]


def _add_junction(parts: _Parts, plan: Plan, node: Node, rng: np.random.Generator) -> None:
    fid = INTERSECTION_FID + len(parts.intersections)
    wide = max(plan.roads[arm.road].lanes for arm in node.arms) > 1
    lit = bool(rng.random() < ((0.95 if wide else 0.7) if len(node.arms) == 4 else (0.7 if wide else 0.3)))
    parts.intersections[fid] = Intersection(
        fid=fid,
        polygon=_junction_ring(parts, node),
        centre=node.position,
        lit=lit,
        arms=tuple(_incoming(parts, arm).roadblock for arm in node.arms),
    )
    for arm in node.arms:
        _add_stop_line(parts, arm, fid)
        if lit or rng.random() < 0.5:
            _add_crosswalk(parts, arm, fid, node)
    for k in range(len(node.arms)):
        _add_connectors(parts, node, k, fid, lit)
        if lit:
            _add_heads(parts, node, k, plan)


def _junction_ring(parts: _Parts, node: Node) -> Float:
    pieces = []
    for k, arm in enumerate(node.arms):
        after = node.arms[(k + 1) % len(node.arms)]
        out_edge = _outgoing(parts, arm).edge[0]
        in_edge = _incoming(parts, arm).edge[-1]
        across = _outgoing(parts, after).edge[0]
        corner = _kerb_corner(arm, in_edge, after, across, node.kerb_radius)
        pieces += [out_edge[None], corner[:-1]]
        band = np.concatenate([corner, curves.offset(corner, -PAVEMENT_WIDTH_M)[::-1]])
        parts.walkways.append(_ccw(band))
    return np.concatenate(pieces)


def _kerb_corner(arm: Arm, start: Float, after: Arm, end: Float, radius: float) -> Float:
    """Kerb from the left edge of one arm, seen from the junction, to the right edge of the next one."""
    gap = np.arctan2(after.direction[1], after.direction[0]) - np.arctan2(arm.direction[1], arm.direction[0])
    meet = curves.crossing(start, -arm.direction, end, -after.direction)
    if gap % (2 * np.pi) > np.radians(150) or meet is None:
        straight = curves.resample(curves.hermite(start, -arm.direction, end, after.direction), 2.0)
        return curves.offset(straight, -KERB_RECESS_M * np.sin(np.pi * np.linspace(0.0, 1.0, len(straight))) ** 2)
    return curves.fillet(start, meet, end, radius)


def _add_stop_line(parts: _Parts, arm: Arm, intersection: int) -> None:
    side = _incoming(parts, arm)
    near, far = side.middle[-1] + 0.5 * arm.direction, side.edge[-1] + 0.5 * arm.direction
    ring = np.stack([near, far, far + 0.45 * arm.direction, near + 0.45 * arm.direction])
    fid = STOP_LINE_FID + len(parts.stop_lines)
    parts.stop_lines[fid] = StopLine(fid=fid, intersection=intersection, roadblock=side.roadblock, polygon=_ccw(ring))
    middle = (ring[[0, 1]] + ring[[3, 2]]) / 2
    parts.paint.append(PaintedLine(line=middle, kind=Paint.STOP_LINE, width=0.45))


def _add_crosswalk(parts: _Parts, arm: Arm, intersection: int, node: Node) -> None:
    left, right = _incoming(parts, arm).edge[-1], _outgoing(parts, arm).edge[0]
    inset = -arm.direction
    near, far = 0.9 * inset, (CROSSWALK_DEPTH_M - 0.5) * inset
    ring = _ccw(np.stack([left + near, right + near, right + far, left + far]))
    line = np.stack([left, right]) + (near + far) / 2
    parts.crosswalks.append(
        Crosswalk(
            fid=CROSSWALK_FID + len(parts.crosswalks),
            polygon=ring,
            line=line,
            intersection=intersection,
            arm=_incoming(parts, arm).roadblock,
        )
    )


def _add_connectors(parts: _Parts, node: Node, k: int, intersection: int, lit: bool) -> None:
    arm = node.arms[k]
    source = [parts.lanes[fid] for fid in _incoming(parts, arm).lane_fids]
    stop_line = next(s.fid for s in parts.stop_lines.values() if s.roadblock == source[0].roadblock)
    ways: list[tuple[int, int, Turn, Arm]] = []
    for step in range(1, len(node.arms)):
        other = node.arms[(k + step) % len(node.arms)]
        angle = _turn_angle(-arm.direction, other.direction)
        turn = Turn.STRAIGHT if abs(angle) < np.radians(42) else Turn.LEFT if angle > 0 else Turn.RIGHT
        target = len(_outgoing(parts, other).lane_fids)
        ways += [(a, b, turn, other) for a, b in _lane_pairs(len(source), target, turn)]
    used = {a for a, _, _, _ in ways}
    for a in set(range(len(source))) - used:
        # A middle lane with no straight ahead turns with its left neighbour.
        _, b, turn, other = next(way for way in ways if way[2] != Turn.STRAIGHT)
        target = len(_outgoing(parts, other).lane_fids)
        ways.append((a, min(a, target - 1) if turn == Turn.LEFT else b, turn, other))
    by_target: dict[int, list[Connector]] = {}
    for a, b, turn, other in sorted(ways, key=lambda way: (int(way[2]), way[0])):
        outgoing = _outgoing(parts, other)
        target = parts.lanes[outgoing.lane_fids[b]]
        connector = _connector(parts, node, source[a], target, turn, intersection, stop_line, lit)
        by_target.setdefault(outgoing.roadblock, []).append(connector)
    for target_fid, members in by_target.items():
        fid = ROADBLOCK_CONNECTOR_FID + len(parts.roadblock_connectors)
        area = shapely.union_all([shapely.Polygon(m.polygon).buffer(0) for m in members])
        ring = _outline(area)
        parts.roadblock_connectors[fid] = RoadblockConnector(
            fid=fid,
            from_roadblock=source[0].roadblock,
            to_roadblock=target_fid,
            intersection=intersection,
            connectors=tuple(m.fid for m in members),
            polygon=ring,
        )
        for member in members:
            parts.connectors[member.fid] = replace(member, roadblock=fid)


def _lane_pairs(source: int, target: int, turn: Turn) -> list[tuple[int, int]]:
    if turn == Turn.STRAIGHT:
        return [(a, min(a, target - 1)) for a in range(source)]
    return [(0, 0)] if turn == Turn.LEFT else [(source - 1, target - 1)]


def _connector(
    parts: _Parts, node: Node, source: Lane, target: Lane, turn: Turn, intersection: int, stop_line: int, lit: bool
) -> Connector:
    start, end = source.centre[-1], target.centre[0]
    into, out = _end_direction(source.centre), -_end_direction(target.centre[::-1])
    half = {
        side: (np.hypot(*(getattr(source, side)[-1] - start)), np.hypot(*(getattr(target, side)[0] - end)))
        for side in ("left", "right")
    }
    meet = curves.crossing(start, into, end, out)
    if turn == Turn.STRAIGHT or meet is None:
        line = curves.resample(curves.hermite(start, into, end, out), CONNECTOR_SPACING_M)
        limit = min(source.speed_limit, target.speed_limit)
    else:
        room = min(float((meet - start) @ into), float((end - meet) @ out))
        angle = abs(_turn_angle(into, out))
        radius = (
            node.kerb_radius - WIDE_TURN_M + half["right"][0] if turn == Turn.RIGHT else 0.82 * room / np.tan(angle / 2)
        )
        radius = min(radius, 0.95 * room / np.tan(angle / 2), 22.0)
        line = curves.smooth(curves.fillet(start, meet, end, radius), 1.6, CONNECTOR_SPACING_M)
        limit = min(float(np.floor(np.sqrt(TURN_LATERAL_MPS2 * radius) / MPH)) * MPH, source.speed_limit)
    left, right = (
        curves.offset(line, np.linspace(*half[side], len(line)) * (1 if side == "left" else -1)) for side in half
    )
    left[[0, -1]], right[[0, -1]] = [source.left[-1], target.left[0]], [source.right[-1], target.right[0]]
    count = len(parts.connectors)
    fid = CONNECTOR_FID + count
    connector = Connector(
        fid=fid,
        polygon_fid=CONNECTOR_POLYGON_FID + count,
        roadblock=0,
        intersection=intersection,
        from_lane=source.fid,
        to_lane=target.fid,
        turn=turn,
        stop_line=stop_line,
        lit=lit,
        centre=line,
        left=left,
        right=right,
        speed_limit=limit,
    )
    parts.connectors[fid] = connector
    return connector


def _add_heads(parts: _Parts, node: Node, k: int, plan: Plan) -> None:
    arm = node.arms[k]
    side = _incoming(parts, arm)
    ahead, right = -arm.direction, np.array([-arm.direction[1], arm.direction[0]])
    stop_line = next(s.fid for s in parts.stop_lines.values() if s.roadblock == side.roadblock)
    governed = tuple(c.fid for c in parts.connectors.values() if c.stop_line == stop_line)
    middle = (side.middle[-1] + side.edge[-1]) / 2
    opposite = max(node.arms, key=lambda other: -float(other.direction @ arm.direction))
    if opposite.direction @ arm.direction < -np.cos(np.radians(42)):
        across = arm.cut + opposite.cut - CROSSWALK_DEPTH_M
    else:
        across = arm.cut + max(plan.roads[other.road].half_width for other in node.arms if other is not arm) + 1.5
    near_foot = side.edge[-1] + 0.9 * right + 0.4 * ahead
    far_head = middle + across * ahead
    far_foot = far_head + (float((side.edge[-1] - middle) @ right) + 1.2) * right
    for position, height, foot in ((near_foot, 3.0, near_foot), (far_head, 5.4, far_foot)):
        parts.heads.append(
            LightHead(
                fid=LIGHT_FID + len(parts.heads),
                stop_line=stop_line,
                roadblock=side.roadblock,
                position=np.array([position[0], position[1], height]),
                heading=float(np.arctan2(arm.direction[1], arm.direction[0])),
                pole=foot,
                connectors=governed,
            )
        )


def _kerb_lines(parts: _Parts) -> list[Float]:
    """Outer edges of all pavements along roads, house side to the right."""
    return [
        curves.smooth(side.middle - curves.normals(side.middle) * (side.kerb + PAVEMENT_WIDTH_M)[:, None], 1.5, 2.0)
        for side in parts.sides.values()
    ]


def _end_direction(line: Float) -> Float:
    step = line[-1] - line[-2]
    return step / np.hypot(*step)


def _turn_angle(into: Float, out: Float) -> float:
    return float(np.arctan2(into[0] * out[1] - into[1] * out[0], into @ out))


def _outline(area: shapely.Geometry) -> Float:
    largest = max(shapely.get_parts(area), key=lambda part: part.area)
    return _ccw(shapely.get_coordinates(shapely.get_exterior_ring(largest))[:-1])


def _ccw(ring: Float) -> Float:
    x, y = ring.T
    area = np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)
    return ring if area > 0 else ring[::-1].copy()

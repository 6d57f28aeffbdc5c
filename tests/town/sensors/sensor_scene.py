"""A street crossing made by hand: two lanes each way along x, one each way along y, everything the sensors can show."""

from __future__ import annotations

import numpy as np

from navforge.town.world import (
    ActorKind,
    Actors,
    Building,
    CarPark,
    Connector,
    Crosswalk,
    Intersection,
    Light,
    LightHead,
    Paint,
    PaintedLine,
    Roadblock,
    Snapshot,
    TownMap,
    Turn,
)


def rectangle(x0: float, x1: float, y0: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)


def straight(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=float)


def town() -> TownMap:
    blocks = [
        rectangle(-120, 33, -7, 0),
        rectangle(-120, 33, 0, 7),
        rectangle(47, 120, -7, 0),
        rectangle(47, 120, 0, 7),
        rectangle(36.5, 43.5, 7, 90),
        rectangle(36.5, 43.5, -90, -7),
    ]
    lines = [
        PaintedLine(line=straight((-120, 0), (33, 0)), kind=Paint.DOUBLE_YELLOW, width=0.4),
        PaintedLine(line=straight((47, 0), (120, 0)), kind=Paint.DOUBLE_YELLOW, width=0.4),
        PaintedLine(line=straight((40, 7), (40, 90)), kind=Paint.SOLID_YELLOW, width=0.15),
        PaintedLine(line=straight((31, -6.8), (31, -0.2)), kind=Paint.STOP_LINE, width=0.5),
    ]
    for y in (-3.5, 3.5):
        lines.append(PaintedLine(line=straight((-120, y), (30, y)), kind=Paint.DASHED_WHITE, width=0.14))
    for y in (-6.85, 6.85):
        lines.append(PaintedLine(line=straight((-120, y), (33, y)), kind=Paint.SOLID_WHITE, width=0.14))
    connector = Connector(
        fid=7, polygon_fid=8, roadblock=9, intersection=5, from_lane=0, to_lane=1, turn=Turn.STRAIGHT, stop_line=3,
        lit=True, centre=straight((33, -3), (47, -3)), left=straight((33, 0), (47, 0)),
        right=straight((33, -7), (47, -7)), speed_limit=13.0,
    )  # fmt: skip
    heads = tuple(
        LightHead(
            fid=20 + k, stop_line=3, roadblock=0, position=np.array([48.0, y, 5.6]), heading=np.pi,
            pole=np.array([48.0, -9.0]), connectors=(7,),
        )
        for k, y in enumerate((-5.2, -1.8))
    )  # fmt: skip
    random = np.random.default_rng(3)
    buildings = tuple(
        Building(footprint=rectangle(x, x + 22, y, y + 14), height=float(random.uniform(6, 22)), colour=k)
        for k, (x, y) in enumerate((x, y) for x in (-110, -80, -50, -20, 5, 55, 85) for y in (14, -28))
    )
    trees = np.array([[x, y, 6.5, 1.9] for x in range(-100, 31, 13) for y in (-10.2, 10.2)], dtype=float)
    return TownMap(
        location="us-nv-las-vegas-strip", seed=0, crs="EPSG:32611", origin=np.array([664000.0, 3997000.0]),
        lanes={}, connectors={7: connector},
        roadblocks={k: Roadblock(fid=k, lanes=(), polygon=ring, road=0) for k, ring in enumerate(blocks)},
        roadblock_connectors={},
        intersections={
            5: Intersection(fid=5, polygon=rectangle(33, 47, -7, 7), centre=np.array([40.0, 0.0]), lit=True, arms=())
        },
        stop_lines={}, light_heads=heads,
        carparks=(CarPark(fid=30, polygon=rectangle(-60, -10, -9.4, -7), heading=0.0, lot=False),),
        crosswalks=(
            Crosswalk(
                fid=31, polygon=rectangle(27, 30, -7, 7), line=straight((28.5, -7), (28.5, 7)), intersection=5, arm=0
            ),
        ),
        walkways=(rectangle(-120, 33, -12, -7), rectangle(-120, 33, 7, 12), rectangle(47, 120, 7, 12)),
        footpaths=(), painted_lines=tuple(lines), buildings=buildings, trees=trees,
        poles=np.array([[x, 8.0, 8.0] for x in range(-90, 30, 30)], dtype=float),
        bounds=(-120.0, -90.0, 120.0, 90.0),
    )  # fmt: skip


ACTORS = (
    # kind, x, y, length, width, height, heading, braking
    (ActorKind.CAR, 14.0, -1.75, 4.7, 1.9, 1.6, 0.0, True),
    (ActorKind.CAR, 2.0, 1.75, 4.4, 1.85, 1.55, np.pi, False),
    (ActorKind.CAR, -14.0, -1.75, 4.7, 1.9, 1.75, 0.0, False),
    (ActorKind.CAR, -20.0, -8.2, 4.6, 1.9, 1.5, 0.0, False),
    (ActorKind.TRUCK, 20.0, 5.2, 8.0, 2.5, 3.2, np.pi, False),
    (ActorKind.VAN, -22.0, 5.2, 5.6, 2.1, 2.4, np.pi, False),
    (ActorKind.BUS, 38.0, 22.0, 11.5, 2.6, 3.2, -np.pi / 2, False),
    (ActorKind.CAR, 9.0, -5.2, 4.5, 1.8, 1.5, 0.0, False),
    (ActorKind.BICYCLE, 4.0, -6.2, 1.8, 0.6, 1.75, 0.0, False),
    (ActorKind.PEDESTRIAN, 28.5, 2.0, 0.6, 0.6, 1.75, -np.pi / 2, False),
    (ActorKind.PEDESTRIAN, 6.0, -8.5, 0.6, 0.6, 1.7, 0.3, False),
    (ActorKind.CONE, 8.0, 1.0, 0.45, 0.45, 0.8, 0.0, False),
    (ActorKind.BARRIER, 12.0, 3.4, 0.5, 1.8, 1.0, 0.0, False),
    (ActorKind.SIGN, 10.0, 2.6, 0.3, 0.9, 1.4, 0.0, False),
    (ActorKind.GENERIC, 3.0, 8.0, 0.6, 0.6, 1.1, 0.0, False),
)


def snapshot(light: Light = Light.RED, pose: tuple[float, float, float] = (-5.0, -1.75, 0.0)) -> Snapshot:
    count = len(ACTORS)
    box = np.array([[x, y, h / 2, l, w, h, heading] for _, x, y, l, w, h, heading, _ in ACTORS])
    return Snapshot(
        time_us=1_600_000_000_000_000,
        ego_pose=np.array(pose),
        ego_velocity=np.array([5.0, 0.0]),
        ego_acceleration=np.zeros(2),
        actors=Actors(
            box=box,
            velocity=np.zeros((count, 2)),
            kind=np.array([a[0] for a in ACTORS], dtype=np.uint8),
            track=np.arange(count),
            colour=np.arange(count) + 11,
            braking=np.array([a[-1] for a in ACTORS]),
        ),
        lights={7: light},
    )

"""Bodies of the actors: meshes that fill an annotation box, with wheels, windows and lights so that heading shows.

Actor frame: origin at the box centre on the ground, x along the heading, y left, z up.
"""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np

from navforge.town.sensors.mesh import Mesh, Surface, ball, box, frustum, join, place, prism, quads, solid, wheel
from navforge.town.world import ActorBox, ActorKind, Actors

TYRE = (0.06, 0.06, 0.07)
WINDOW = (0.10, 0.13, 0.17)
HEAD_LIGHT = (1.0, 0.98, 0.88)
TAIL_LIGHT = (0.50, 0.02, 0.03)
BRAKE_LIGHT = (1.0, 0.10, 0.06)
SKIN = (0.80, 0.60, 0.47)
CAR_PAINTS = (
    (0.90, 0.90, 0.90),
    (0.16, 0.17, 0.19),
    (0.55, 0.57, 0.60),
    (0.62, 0.08, 0.08),
    (0.10, 0.22, 0.48),
    (0.75, 0.74, 0.69),
    (0.11, 0.31, 0.20),
    (0.86, 0.62, 0.12),
    (0.30, 0.42, 0.55),
)
BODIES_CACHED = 4096


@lru_cache(maxsize=BODIES_CACHED)
def body(kind: ActorKind, length: float, width: float, height: float, seed: int, braking: bool = False) -> Mesh:
    """Mesh of one actor in its own frame, inside the box of its extents.

    Args:
        kind: what it is.
        length: along the heading, m.
        width: across, m.
        height: m.
        seed: chooses colours; the same actor keeps its own in every frame.
        braking: brake lights on (vehicles).
    """
    match kind:
        case ActorKind.CAR:
            return _car(length, width, height, seed, braking)
        case ActorKind.VAN | ActorKind.TRUCK | ActorKind.BUS:
            return _truck(length, width, height, seed, braking)
        case ActorKind.PEDESTRIAN:
            return _pedestrian(length, width, height, seed)
        case ActorKind.BICYCLE:
            return _cyclist(length, width, height, seed)
        case ActorKind.CONE:
            return _cone(length, width, height)
        case ActorKind.SIGN:
            return _sign(length, width, height)
    block = box((-length / 2, length / 2), (-width / 2, width / 2), (0, height))
    if kind is ActorKind.BARRIER:
        return solid(block, (0.85, 0.15, 0.1), Surface.STRIPES)
    return solid(block, (0.45, 0.47, 0.50))


def actors_mesh(actors: Actors, near: tuple[float, float], radius: float) -> Mesh:
    """Bodies of all actors within `radius` (m) of the point `near`, town frame; `slot` is the actor's row."""
    distance = np.hypot(actors.box[:, ActorBox.X] - near[0], actors.box[:, ActorBox.Y] - near[1])
    parts = []
    for row in np.flatnonzero(distance < radius):
        x, y, z, length, width, height, heading = actors.box[row].tolist()
        mesh = body(
            ActorKind(int(actors.kind[row])), length, width, height, int(actors.colour[row]), bool(actors.braking[row])
        )
        parts.append(place(mesh, x, y, heading, z - height / 2).with_slot(int(row)))
    return join(parts)


def _pick(seed: int, salt: int) -> float:
    """A number in [0, 1) from a seed, the same on every machine."""
    return ((seed * 2654435761 + salt * 40503 + 12345) % 4294967296 * 1103515245 + 12345) % 2147483648 / 2147483648


def _paint(seed: int) -> tuple[float, float, float]:
    return CAR_PAINTS[int(_pick(seed, 1) * len(CAR_PAINTS))]


def _cloth(seed: int, salt: int) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(
        _pick(seed, salt), 0.35 + 0.5 * _pick(seed, salt + 1), 0.25 + 0.55 * _pick(seed, salt + 2)
    )


def _wheels(length: float, width: float, radius: float) -> Mesh:
    y = width / 2
    parts = [
        wheel(x, sides, radius) for x in (-0.31 * length, 0.31 * length) for sides in ((-y, -y + 0.24), (y - 0.24, y))
    ]
    return solid(np.concatenate(parts), TYRE)


def _lights(length: float, width: float, z: tuple[float, float], braking: bool) -> Mesh:
    """Two head lights and two tail lights, a little proud of the body's ends."""
    y_out, y_in = 0.47 * width, 0.27 * width
    sides = ((-y_out, -y_in), (y_in, y_out))
    front, back = length / 2, -length / 2
    head = np.concatenate([box((front - 0.08, front), y, z) for y in sides])
    tail = np.concatenate([box((back, back + 0.08), y, (z[0], z[1] + 0.12)) for y in sides])
    return join(
        [
            solid(head, HEAD_LIGHT, Surface.GLOW),
            solid(tail, BRAKE_LIGHT if braking else TAIL_LIGHT, Surface.GLOW if braking else Surface.PLAIN),
        ]
    )


def _car(length: float, width: float, height: float, seed: int, braking: bool) -> Mesh:
    paint = _paint(seed)
    radius = min(0.34, 0.22 * height)
    x, y = length / 2 - 0.03, width / 2 - 0.03
    belt = 0.56 * height
    estate = _pick(seed, 7) < 0.45
    back_low, back_high = (-0.47, -0.42) if estate else (-0.36, -0.24)
    floor = (back_low * length, 0.24 * length, -0.47 * width, 0.47 * width)
    roof = (back_high * length, 0.07 * length, -0.40 * width, 0.40 * width)
    bonnet = (-x, 0.96 * x, -y, y)
    body_low = solid(frustum((-x, x, -y, y), bonnet, 0.6 * radius, belt), paint)
    cabin = solid(frustum(floor, roof, belt, 0.955 * height), WINDOW, Surface.GLASS)
    cap = solid(frustum(roof, roof, 0.95 * height, height), paint)
    pillar = join([solid(_pillar(floor, roof, at, belt, 0.955 * height), paint) for at in (0.48,)])
    plate = solid(box((-length / 2, -x), (-0.26, 0.26), (0.42 * belt, 0.42 * belt + 0.13)), (0.9, 0.9, 0.85))
    grille = solid(box((x, length / 2), (-0.25 * width, 0.25 * width), (0.40 * belt, 0.62 * belt)), TYRE)
    lights = _lights(length, width, (0.62 * belt, 0.62 * belt + 0.16), braking)
    return join([body_low, cabin, cap, pillar, plate, grille, _wheels(length, width, radius), lights])


def _pillar(floor: tuple[float, ...], roof: tuple[float, ...], at: float, low: float, high: float) -> np.ndarray:
    """The post between the side windows, both sides, a share `at` along the cabin."""
    x_low = floor[0] + at * (floor[1] - floor[0])
    x_high = roof[0] + at * (roof[1] - roof[0])
    half = 0.06
    patches = []
    for side in (-1.0, 1.0):
        y_low, y_high = side * (floor[3] + 0.01), side * (roof[3] + 0.01)
        patches.append(
            [
                (x_low - half, y_low, low),
                (x_low + half, y_low, low),
                (x_high + half, y_high, high),
                (x_high - half, y_high, high),
            ]
        )
    return quads(np.array(patches))


def _truck(length: float, width: float, height: float, seed: int, braking: bool) -> Mesh:
    """Vans, trucks and buses: a tall box; buses (long ones) with a band of windows."""
    paint = _paint(seed)
    x, y = length / 2 - 0.05, width / 2 - 0.03
    bus = length > 8.5
    nose = 0.0 if bus else min(0.9, 0.14 * length)
    cargo = solid(frustum((-x, x - nose, -y, y), (-x, x - nose, -0.97 * y, 0.97 * y), 0.45, height), paint)
    parts = [cargo]
    if nose:
        front = frustum(
            (x - nose, x, -0.97 * y, 0.97 * y), (x - nose, x - 0.45 * nose, -0.9 * y, 0.9 * y), 0.45, 0.8 * height
        )
        parts.append(solid(front, paint))
    slope = 0.5 * nose
    glass_x = (x - nose - 0.05, x - 0.3 * slope + 0.02) if nose else (x - 0.3, x + 0.04)
    side_x = (-0.9 * x, x - nose - 0.4) if bus else (x - nose - 1.2, x - nose - 0.1)
    panes = [
        box(glass_x, (-0.86 * y, 0.86 * y), (0.50 * height, 0.76 * height)),
        box(side_x, (-y - 0.005, y + 0.005), (0.52 * height, 0.80 * height)),
        box((-length / 2 + 0.02, -x + 0.01), (-0.7 * y, 0.7 * y), (0.55 * height, 0.8 * height)),
    ]
    parts.append(solid(np.concatenate(panes), WINDOW, Surface.GLASS))
    parts.append(_wheels(length, width, 0.46))
    parts.append(_lights(length, width, (0.75, 0.98), braking))
    return join(parts)


def _pedestrian(length: float, width: float, height: float, seed: int) -> Mesh:
    shoulder, hip = 0.84 * height, 0.48 * height
    half_x, half_y = min(0.17, length / 2), min(0.27, width / 2)
    legs = [
        box((-0.7 * half_x + shift, 0.5 * half_x + shift), sides, (0.0, hip))
        for sides, shift in (((-0.75 * half_y, -0.1 * half_y), 0.08), ((0.1 * half_y, 0.75 * half_y), -0.08))
    ]
    torso = frustum(
        (-0.7 * half_x, 0.7 * half_x, -0.8 * half_y, 0.8 * half_y), (-half_x, half_x, -half_y, half_y), hip, shoulder
    )
    radius = 0.5 * (height - shoulder)
    head = ball((0.9 * radius, 0.8 * radius, radius), (0.0, 0.0, height - radius), rows=4, columns=6)
    return join(
        [
            solid(np.concatenate(legs), _cloth(seed, 11)),
            solid(torso, _cloth(seed, 17)),
            solid(head, SKIN),
        ]
    )


def _cyclist(length: float, width: float, height: float, seed: int) -> Mesh:
    radius = min(0.35, 0.2 * height)
    reach = length / 2 - radius
    wheels = np.concatenate([wheel(x, (-0.04, 0.04), radius) for x in (-reach, reach)])
    frame = box((-reach, reach), (-0.03, 0.03), (radius, 2.1 * radius))
    bar = box((0.6 * reach, 0.75 * reach), (-min(0.3, width / 2), min(0.3, width / 2)), (0.58 * height, 0.62 * height))
    half_y = min(0.22, width / 2)
    legs = box((-0.25 * reach, 0.1 * reach), (-half_y, half_y), (0.22 * height, 0.55 * height))
    torso = frustum(
        (-0.35 * reach, 0.1 * reach, -half_y, half_y),
        (0.05 * reach, 0.55 * reach, -half_y, half_y),
        0.5 * height,
        0.86 * height,
    )
    head_radius = 0.075 * height
    helmet = ball((head_radius,) * 3, (0.4 * reach, 0.0, height - head_radius), rows=4, columns=6)
    return join(
        [
            solid(wheels, TYRE),
            solid(np.concatenate([frame, bar]), _paint(seed)),
            solid(legs, _cloth(seed, 11)),
            solid(torso, _cloth(seed, 17)),
            solid(helmet, (0.9, 0.9, 0.2)),
        ]
    )


def _cone(length: float, width: float, height: float) -> Mesh:
    half = min(length, width) / 2
    base = box((-half, half), (-half, half), (0.0, 0.06 * height))
    return join(
        [
            solid(base, TYRE),
            solid(prism(0.8 * half, (0.06 * height, height), 8, 0.15 * half), (1.0, 0.36, 0.02), Surface.STRIPES),
        ]
    )


def _sign(length: float, width: float, height: float) -> Mesh:
    post = box((-0.04, 0.04), (-0.04, 0.04), (0.0, height))
    half, middle = min(width / 2, 0.45 * height), 0.68 * height
    x = min(length / 2, 0.06)
    faces = [
        [(at, 0, middle - half), (at, half, middle), (at, 0, middle + half), (at, -half, middle)] for at in (-x, x)
    ]
    diamond = quads(np.array(faces))
    return join([solid(post, (0.4, 0.4, 0.42)), solid(diamond, (1.0, 0.42, 0.04))])

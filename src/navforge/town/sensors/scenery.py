"""What stands still: buildings, trees, poles and traffic lights as one indexed mesh, and the ground picture."""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.town.scales import CityStyle
from navforge.town.sensors.ground import Ground, draw_ground
from navforge.town.sensors.kernels import Solids
from navforge.town.sensors.lighting import PLAIN
from navforge.town.sensors.mesh import Mesh, Surface, ball, box, extrude, join, place, prism, solid
from navforge.town.sensors.rays import RayScene
from navforge.town.world import Building, Light, LightHead, Snapshot, TownMap

POLE_COLOR = (0.30, 0.31, 0.33)
HEAD_COLOR = (0.05, 0.05, 0.05)
HEAD_SIZE = (0.30, 0.78, 1.95)
LAMP_RADIUS_M, LAMP_STEP_M = 0.27, 0.60
LAMPS = len(Light)
LAMP_ORDER = (Light.RED, Light.YELLOW, Light.GREEN)
"""From top to bottom."""
LAMP_LIT = {Light.GREEN: (0.10, 1.00, 0.42), Light.YELLOW: (1.00, 0.78, 0.10), Light.RED: (1.00, 0.08, 0.06)}
LAMP_DARK = (0.13, 0.13, 0.12)


@dataclass(frozen=True, slots=True)
class Caster:
    """Something that throws a shadow: a convex ring (K, 2), town frame, between two heights (m)."""

    ring: NDArray[np.float64]
    low: float
    high: float

    @property
    def center(self) -> NDArray[np.float64]:
        """(2,) mean of the ring."""
        return self.ring.mean(axis=0)


@dataclass(frozen=True, slots=True)
class Scenery:
    """A town made ready for rays. Not picklable; build one per process."""

    scene: RayScene
    solids: Solids
    ground: Ground
    casters: tuple[Caster, ...]
    caster_centers: NDArray[np.float64]
    """(C, 2)"""
    light_heads: tuple[LightHead, ...]

    def lamp_colors(self, snapshot: Snapshot) -> NDArray[np.float64]:
        """Colour (lamp slots, 3) of every lamp at the snapshot's time."""
        colors = np.tile(np.array(LAMP_DARK), (max(len(self.light_heads), 1) * LAMPS, 1))
        for number, head in enumerate(self.light_heads):
            states = [snapshot.lights[fid] for fid in head.connectors if fid in snapshot.lights]
            if states:
                colors[number * LAMPS + LAMP_ORDER.index(Light(states[0]))] = LAMP_LIT[Light(states[0])]
        return colors


def build_scenery(town: TownMap, style: CityStyle = PLAIN) -> Scenery:
    """Meshes, ray index and ground picture of a town."""
    parts = [_building(number, building, style) for number, building in enumerate(town.buildings)]
    parts += [_tree(number, *row) for number, row in enumerate(town.trees.tolist())]
    parts += [_street_lamp(*row) for row in town.poles.tolist()]
    parts += [_traffic_light(number, head) for number, head in enumerate(town.light_heads)]
    mesh = join(parts)
    casters = tuple(_casters(town))
    centers = np.array([caster.center for caster in casters]).reshape(-1, 2)
    return Scenery(RayScene(mesh.triangles), to_solids(mesh), draw_ground(town), casters, centers, town.light_heads)


def to_solids(mesh: Mesh) -> Solids:
    """The planes and materials of a mesh."""
    corners = mesh.triangles.astype(np.float64)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    offset = np.einsum("tc,tc->t", normal, corners[:, 0])
    plane = np.column_stack([normal, offset]).astype(np.float32)
    return Solids(plane, mesh.surface, mesh.color, mesh.slot)


def join_solids(first: Solids, second: Solids) -> Solids:
    """The triangles of both, in order."""
    return Solids(
        np.concatenate([first.plane, second.plane]),
        np.concatenate([first.surface, second.surface]),
        np.concatenate([first.color, second.color]),
        np.concatenate([first.slot, second.slot]),
    )


def _building(number: int, building: Building, style: CityStyle) -> Mesh:
    random = np.random.default_rng([abs(building.colour), 0xB1D])
    hue = random.choice(list(style.hues))
    color = colorsys.hsv_to_rgb(hue, random.uniform(*style.saturation), random.uniform(*style.brightness))
    walls, roof = extrude(building.footprint, (0.0, building.height))
    return join([solid(walls, color, Surface.FACADE, number), solid(roof, (0.42, 0.40, 0.39), slot=number)])


def _tree(number: int, x: float, y: float, height: float, radius: float) -> Mesh:
    random = np.random.default_rng([number, 0x7EE])
    green = colorsys.hsv_to_rgb(random.uniform(0.22, 0.36), random.uniform(0.45, 0.7), random.uniform(0.36, 0.58))
    half = min(0.5 * (height - 1.2), 1.3 * radius)
    middle = height - half
    offset = 0.35 * radius
    crown = np.concatenate(
        [
            ball((0.85 * radius, 0.85 * radius, half), (0.0, 0.0, middle), rows=5, columns=8),
            ball((0.65 * radius, 0.65 * radius, 0.62 * half), (offset, offset, middle - 0.2 * half), rows=4, columns=7),
        ]
    )
    trunk = prism(0.06 * radius + 0.07, (0.0, middle), 6)
    return place(
        join([solid(crown, green, Surface.FOLIAGE), solid(trunk, (0.33, 0.25, 0.18))]),
        x,
        y,
        random.uniform(0, math.tau),
    )


def _street_lamp(x: float, y: float, height: float) -> Mesh:
    post = prism(0.11, (0.0, height), 6, 0.07)
    head = box((-0.3, 0.3), (-0.16, 0.16), (height - 0.12, height + 0.05))
    return place(solid(np.concatenate([post, head]), POLE_COLOR), x, y, 0.0)


def _traffic_light(number: int, head: LightHead) -> Mesh:
    x, y, z = head.position.tolist()
    depth, width, tall = HEAD_SIZE
    case = solid(box((-depth / 2, depth / 2), (-width / 2, width / 2), (-tall / 2, tall / 2)), HEAD_COLOR)
    angle = np.arange(9) * (math.tau / 8)
    rim = np.column_stack([np.full(9, depth / 2 + 0.03), LAMP_RADIUS_M * np.cos(angle), LAMP_RADIUS_M * np.sin(angle)])
    disc = np.stack([np.tile([depth / 2 + 0.03, 0.0, 0.0], (8, 1)), rim[:-1], rim[1:]], axis=1)
    lamps = [
        solid(disc + np.array([0.0, 0.0, (1 - k) * LAMP_STEP_M]), (0, 0, 0), Surface.LAMP, number * LAMPS + k)
        for k in range(LAMPS)
    ]
    arm = np.array([x, y]) - head.pole
    reach = float(np.hypot(*arm))
    top = z + 0.3
    post = place(solid(prism(0.12, (0.0, top + 0.1), 6), POLE_COLOR), head.pole[0], head.pole[1], 0.0)
    beam = place(
        solid(box((0.0, max(reach, 0.05)), (-0.07, 0.07), (top - 0.07, top + 0.07)), POLE_COLOR),
        head.pole[0],
        head.pole[1],
        math.atan2(arm[1], arm[0]),
    )
    return join([place(join([case, *lamps]), x, y, head.heading, z), post, beam])


def _casters(town: TownMap) -> list[Caster]:
    casters = [Caster(building.footprint, 0.0, building.height) for building in town.buildings]
    angle = np.arange(8) * (math.tau / 8)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    for x, y, height, radius in town.trees.tolist():
        half = min(0.5 * (height - 1.2), 1.3 * radius)
        casters.append(Caster(0.7 * radius * ring + np.array([x, y]), height - 1.6 * half, height - 0.4 * half))
        casters.append(Caster(0.15 * ring + np.array([x, y]), 0.0, height - half))
    casters += [Caster(0.1 * ring + np.array([x, y]), 0.0, height) for x, y, height in town.poles.tolist()]
    return casters

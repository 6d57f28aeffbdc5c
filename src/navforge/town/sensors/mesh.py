"""Triangle soups with a material per triangle, and the solids the town is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
FloatN = NDArray[np.floating]


class Surface(IntEnum):
    """How a triangle is shaded."""

    PLAIN = 0
    FACADE = 1
    FOLIAGE = 2
    GLASS = 3
    LAMP = 4
    """Colour looked up per frame by `slot`: traffic light lenses."""
    GLOW = 5
    """Emits light: tail lights, head lights."""
    STRIPES = 6
    """Colour and white in bands: barriers, cones."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """Triangles (T, 3, 3) in metres with `surface` (T,) `Surface`, `color` (T, 3) in [0, 1] and `slot` (T,).

    `slot` is what a triangle belongs to: the actor's row in a snapshot, the lamp of a traffic light, a building.
    """

    triangles: Float32
    surface: NDArray[np.uint8]
    color: Float32
    slot: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.triangles)

    def with_slot(self, slot: int) -> Mesh:
        """The same triangles, all belonging to `slot`."""
        return Mesh(self.triangles, self.surface, self.color, np.full(len(self), slot, dtype=np.int32))


def solid(triangles: FloatN, color: Sequence[float], surface: Surface = Surface.PLAIN, slot: int = 0) -> Mesh:
    """A mesh of one material; `triangles` (T, 3, 3)."""
    count = len(triangles)
    return Mesh(
        np.ascontiguousarray(triangles, dtype=np.float32),
        np.full(count, surface, dtype=np.uint8),
        np.tile(np.asarray(color, dtype=np.float32), (count, 1)),
        np.full(count, slot, dtype=np.int32),
    )


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All triangles in one mesh, in order."""
    if not meshes:
        return solid(np.zeros((0, 3, 3)), (0, 0, 0))
    return Mesh(
        np.concatenate([m.triangles for m in meshes]),
        np.concatenate([m.surface for m in meshes]),
        np.concatenate([m.color for m in meshes]),
        np.concatenate([m.slot for m in meshes]),
    )


def place(mesh: Mesh, x: float, y: float, heading: float, z: float = 0.0) -> Mesh:
    """The mesh turned about z by `heading` (rad), then moved to (x, y, z) (m)."""
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    moved = mesh.triangles.astype(np.float64) @ turn.T + np.array([x, y, z])
    return Mesh(moved.astype(np.float32), mesh.surface, mesh.color, mesh.slot)


def quads(corners: FloatN) -> FloatN:
    """Two triangles (2 Q, 3, 3) for every quadrilateral (Q, 4, 3), corners in counter-clockwise order seen outside."""
    corners = np.asarray(corners, dtype=np.float64)
    return np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])


_BOX_SIDES = np.array([[0, 1, 5, 4], [1, 3, 7, 5], [3, 2, 6, 7], [2, 0, 4, 6], [4, 5, 7, 6], [0, 2, 3, 1]])


def frustum(bottom: Sequence[float], top: Sequence[float], z_low: float, z_high: float) -> FloatN:
    """Triangles of a box with level floor and roof whose rectangles may differ: a car's cabin, a cone.

    Args:
        bottom: x_low, x_high, y_low, y_high of the floor (m).
        top: the same of the roof.
        z_low: height of the floor.
        z_high: height of the roof.
    """
    points = [(x, y, z_low) for y in bottom[2:] for x in bottom[:2]] + [
        (x, y, z_high) for y in top[2:] for x in top[:2]
    ]
    return quads(np.array(points)[_BOX_SIDES])


def box(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> FloatN:
    """Triangles of an axis-aligned box between the bounds (m)."""
    return frustum((*x, *y), (*x, *y), *z)


def prism(radius: float, z: tuple[float, float], sides: int = 6, top_radius: float | None = None) -> FloatN:
    """Triangles of an upright prism (or cut cone) about the z axis, open below."""
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    upper = radius if top_radius is None else top_radius
    low = np.column_stack([ring * radius, np.full(sides, z[0])])
    high = np.column_stack([ring * upper, np.full(sides, z[1])])
    after = np.roll(np.arange(sides), -1)
    walls = quads(np.stack([low, low[after], high[after], high], axis=1))
    roof = np.stack([high, high[after], np.tile([0.0, 0.0, z[1]], (sides, 1))], axis=1)
    return np.concatenate([walls, roof])


def wheel(x: float, y: tuple[float, float], radius: float, sides: int = 8) -> FloatN:
    """Triangles of a wheel on the ground at `x`, its axle along y between the bounds."""
    upright = prism(radius, (0.0, y[1] - y[0]), sides)
    lying = np.stack([upright[..., 0] + x, upright[..., 2] + y[0], upright[..., 1] + radius], axis=-1)
    other_face = prism(radius, (0.0, 0.0), sides)[-sides:]
    face = np.stack([other_face[..., 0] + x, np.full(other_face.shape[:2], y[0]), other_face[..., 1] + radius], axis=-1)
    return np.concatenate([lying, face])


def ball(radii: Sequence[float], center: Sequence[float], rows: int = 5, columns: int = 8) -> FloatN:
    """Triangles of an ellipsoid with half-axes `radii` about `center` (m)."""
    polar = np.linspace(0.0, np.pi, rows + 1)
    angle = np.arange(columns) * (2 * np.pi / columns)
    grid = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(angle)[None],
            np.sin(polar)[:, None] * np.sin(angle)[None],
            np.broadcast_to(np.cos(polar)[:, None], (rows + 1, columns)),
        ],
        axis=-1,
    ) * np.asarray(radii) + np.asarray(center)
    after = np.roll(np.arange(columns), -1)
    patches = np.stack([grid[1:], grid[1:, after], grid[:-1, after], grid[:-1]], axis=2).reshape(-1, 4, 3)
    return quads(patches)


def extrude(ring: FloatN, z: tuple[float, float]) -> tuple[FloatN, FloatN]:
    """Walls and roof of a convex footprint `ring` (V, 2), not closed, raised between two heights."""
    ring = np.asarray(ring, dtype=np.float64)
    area = np.sum(ring[:, 0] * np.roll(ring[:, 1], -1) - ring[:, 1] * np.roll(ring[:, 0], -1))
    ring = ring if area > 0 else ring[::-1]
    low = np.column_stack([ring, np.full(len(ring), z[0])])
    high = np.column_stack([ring, np.full(len(ring), z[1])])
    after = np.roll(np.arange(len(ring)), -1)
    walls = quads(np.stack([low, low[after], high[after], high], axis=1))
    fan = np.stack([np.tile(high[:1], (len(ring) - 2, 1)), high[1:-1], high[2:]], axis=1)
    return walls, fan

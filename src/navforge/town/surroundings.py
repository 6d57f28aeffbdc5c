"""Houses, trees and street lamps along the pavements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.town import curves
from navforge.town.world import Building

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands beside the roads; fields as in `world.TownMap`."""

    buildings: tuple[Building, ...]
    trees: Float
    poles: Float


def build_surroundings(
    surfaces: list[Float],
    walkways: list[Float],
    kerbs: list[Float],
    storeys: Sequence[float],
    rng: np.random.Generator,
) -> Surroundings:
    """Fill the blocks.

    Args:
        surfaces: rings of everything vehicles drive on; nothing is put there.
        walkways: rings of pavement; nothing but lamps is put there.
        kerbs: house-side edges of the pavements along roads, houses to the right.
        storeys: heights of buildings, m, from which each draws its own.
        rng: source of all variation.
    """
    paved = shapely.union_all([shapely.Polygon(ring).buffer(0.05) for ring in surfaces + walkways])
    open_space = paved.buffer(1.0)
    shapely.prepare(open_space)
    buildings = _buildings(kerbs, open_space, storeys, rng)
    built = shapely.union_all([shapely.Polygon(b.footprint) for b in buildings]) if buildings else shapely.Point()
    trees, poles = _trees_and_poles(kerbs, shapely.union(open_space, built), rng)
    return Surroundings(buildings, trees, poles)


def _buildings(
    kerbs: list[Float], taken: shapely.Geometry, storeys: Sequence[float], rng: np.random.Generator
) -> tuple[Building, ...]:
    placed: list[shapely.Polygon] = []
    result = []
    for kerb in kerbs:
        along, heading = curves.arc_length(kerb), curves.headings(kerb)
        at = float(rng.uniform(0.0, 6.0))
        while at < along[-1] - 6.0:
            width, depth, setback = rng.uniform(9.0, 19.0), rng.uniform(8.0, 14.0), rng.uniform(1.2, 5.0)
            middle = at + width / 2
            angle = float(np.interp(middle, along, heading))
            forward, right = np.array([np.cos(angle), np.sin(angle)]), np.array([np.sin(angle), -np.cos(angle)])
            foot = curves.interpolate(kerb, along, np.array([middle]))[0]
            front = foot + setback * right
            half = width / 2 * forward
            ring = np.stack([front - half, front - half + depth * right, front + half + depth * right, front + half])
            shape = shapely.Polygon(ring)
            height, colour = float(rng.choice(storeys) + rng.uniform(0, 2)), int(rng.integers(1 << 31))
            if not shapely.intersects(taken, shape) and not any(shape.intersects(other) for other in placed):
                placed.append(shape.buffer(0.5))
                result.append(Building(footprint=ring, height=height, colour=colour))
            at += width + float(rng.uniform(0.8, 7.0))
    return tuple(result)


def _trees_and_poles(kerbs: list[Float], taken: shapely.Geometry, rng: np.random.Generator) -> tuple[Float, Float]:
    shapely.prepare(taken)
    trees, poles = [np.zeros((0, 4))], [np.zeros((0, 3))]
    for kerb in kerbs:
        along = curves.arc_length(kerb)
        lamp_at = np.arange(6.0, along[-1] - 4.0, 28.0)
        lamps = curves.interpolate(curves.offset(kerb, 2.2), along, lamp_at)
        poles.append(np.column_stack([lamps, np.full(len(lamps), 6.5)]))
        tree_at = np.arange(3.0, along[-1], 9.0) + rng.uniform(-3.0, 3.0, len(np.arange(3.0, along[-1], 9.0)))
        tree_at = tree_at[rng.random(len(tree_at)) < 0.5]
        feet = curves.interpolate(
            curves.offset(kerb, -float(rng.uniform(1.6, 3.0))), along, np.clip(tree_at, 0, along[-1])
        )
        free = ~shapely.intersects(taken, shapely.points(feet)) if len(feet) else np.zeros(0, bool)
        feet = feet[free]
        size = rng.uniform([3.5, 0.9], [8.0, 2.0], (len(feet), 2))
        trees.append(np.column_stack([feet, size]))
    return np.concatenate(trees), np.concatenate(poles)

"""The ground as a picture from above with a pyramid of coarser copies, looked up by the renderer.

Pixel (row, column) of level l covers the square of side `resolution * 2**l` metres whose lower left corner is
`corner + side * (column, row)`: rows run north.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from navforge.geometry.compiled import kernel
from navforge.town.world import Paint, PaintedLine, TownMap

RESOLUTION_M = 0.125
BORDER_M = 10.0
LEVELS = 8
TILE = 512
"""Pixels per side of the pieces the picture is drawn in; a multiple of 2**(LEVELS - 1)."""
FINE = 4
"""Every pixel is the mean of FINE x FINE samples, so that slanted paint has no stairs."""
DASH_M, DASH_PERIOD_M = 3.0, 9.0
STRIPE_M, STRIPE_PERIOD_M = 0.5, 1.0
KERB_M = 0.25
DOUBLE_SHARE = 0.3
"""Width of each line of a double one, as a share of the whole."""


class Soil(IntEnum):
    """What a ground pixel shows."""

    GRASS = 0
    ASPHALT = 1
    JUNCTION = 2
    CAR_PARK = 3
    PAVEMENT = 4
    KERB = 5
    WHITE = 6
    YELLOW = 7


SOIL_COLOR = np.array(
    [
        [92, 124, 62],
        [84, 85, 89],
        [80, 81, 85],
        [101, 98, 97],
        [166, 160, 150],
        [198, 196, 188],
        [236, 236, 230],
        [226, 172, 32],
    ],
    dtype=np.uint8,
)
SOIL_GRAIN = np.array([17, 6, 6, 7, 8, 6, 7, 7], dtype=np.int32)
SOIL_INTENSITY = np.array([60, 14, 14, 16, 36, 44, 120, 105], dtype=np.float32)
"""What the LiDAR receives from each kind of ground, 0-255."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The pictures of a town's ground."""

    soil: NDArray[np.uint8]
    """(H, W) `Soil`."""
    texels: NDArray[np.uint8]
    """(N, 3) RGB of all levels, one after the other, row by row."""
    levels: NDArray[np.int64]
    """(LEVELS, 3) first texel, rows and columns of each."""
    frame: NDArray[np.float64]
    """(3,) lower left corner x, y in the town frame and side of a pixel of level 0, m."""


def draw_ground(town: TownMap) -> Ground:
    """Draw roads, markings, pavements and grass of a town."""
    low_x, low_y, high_x, high_y = town.bounds
    corner = np.array([low_x - BORDER_M, low_y - BORDER_M])
    tile_m = TILE * RESOLUTION_M
    columns = int(np.ceil((high_x + BORDER_M - corner[0]) / tile_m))
    rows = int(np.ceil((high_y + BORDER_M - corner[1]) / tile_m))
    plan = _Plan()
    _draw_areas(plan, town)
    for crosswalk in town.crosswalks:
        _draw_stripes(plan, crosswalk.line, crosswalk.polygon)
    for line in town.painted_lines:
        _draw_painted(plan, line)
    levels = _level_table(rows * TILE, columns * TILE)
    soil = np.zeros((rows * TILE, columns * TILE), dtype=np.uint8)
    texels = np.empty((int(levels[-1, 0] + levels[-1, 1] * levels[-1, 2]), 3), dtype=np.uint8)
    finest = _level(texels, levels, 0)
    for row in range(rows):
        for column in range(columns):
            place = (slice(row * TILE, (row + 1) * TILE), slice(column * TILE, (column + 1) * TILE))
            samples = plan.tile(corner + tile_m * np.array([column, row]))
            _develop(samples, row * TILE, column * TILE, soil[place], finest[place])
    for level in range(1, LEVELS):
        _halve(_level(texels, levels, level - 1), _level(texels, levels, level))
    return Ground(soil, texels, levels, np.array([*corner, RESOLUTION_M]))


class _Plan:
    """Filled polygons in the order they are painted, later over earlier."""

    def __init__(self) -> None:
        self._rings: list[NDArray[np.float64]] = []
        self._soils: list[int] = []
        self._bounds: list[tuple[float, float, float, float]] = []

    def polygon(self, ring: NDArray[np.float64], soil: Soil) -> None:
        """Fill a ring (K, 2), m."""
        self._rings.append(ring)
        self._soils.append(int(soil))
        self._bounds.append((*ring.min(axis=0).tolist(), *ring.max(axis=0).tolist()))

    def ribbon(self, line: NDArray[np.float64], width: float, soil: Soil, offset: float = 0.0) -> None:
        """Fill the band of `width` about a polyline (K, 2), shifted to its left by `offset`, m."""
        normal = _normals(line)
        left, right = line + (offset + width / 2) * normal, line + (offset - width / 2) * normal
        for k in range(len(line) - 1):
            self.polygon(np.array([right[k], right[k + 1], left[k + 1], left[k]]), soil)

    def tile(self, corner: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Soils (TILE * FINE, TILE * FINE) of the tile with this lower left corner."""
        size = TILE * FINE
        image = Image.new("L", (size, size), int(Soil.GRASS))
        draw = ImageDraw.Draw(image)
        bounds = np.array(self._bounds).reshape(-1, 4)
        far = corner + TILE * RESOLUTION_M
        inside = (bounds[:, :2] < far).all(axis=1) & (bounds[:, 2:] > corner).all(axis=1)
        for number in np.flatnonzero(inside):
            pixels = (self._rings[number] - corner) * (FINE / RESOLUTION_M) - 0.5
            draw.polygon(pixels.ravel().tolist(), fill=self._soils[number])
        return np.asarray(image)


def _draw_areas(plan: _Plan, town: TownMap) -> None:
    """Pavement lowest, then kerbs as the rims of everything a car may drive on, then the asphalt itself."""
    for ring in town.walkways:
        plan.polygon(ring, Soil.PAVEMENT)
    drivable: list[tuple[NDArray[np.float64], Soil]] = []
    drivable += [(park.polygon, Soil.CAR_PARK) for park in town.carparks]
    drivable += [(block.polygon, Soil.ASPHALT) for block in town.roadblocks.values()]
    drivable += [(area.polygon, Soil.JUNCTION) for area in town.intersections.values()]
    drivable += [(way.polygon, Soil.JUNCTION) for way in town.connectors.values()]
    for ring, _ in drivable:
        plan.ribbon(np.concatenate([ring, ring[:1]]), 2 * KERB_M, Soil.KERB)
    for ring, soil in drivable:
        plan.polygon(ring, soil)


def _draw_stripes(plan: _Plan, line: NDArray[np.float64], polygon: NDArray[np.float64]) -> None:
    """Zebra stripes: bands across `line`, as long as the polygon is wide there."""
    along = line[1] - line[0]
    length = float(np.hypot(*along))
    along = along / length
    across = np.array([-along[1], along[0]])
    reach = (polygon - line[0]) @ across
    low, high = float(reach.min()), float(reach.max())
    count = int((length - STRIPE_M) // STRIPE_PERIOD_M) + 1
    first = (length - (count - 1) * STRIPE_PERIOD_M - STRIPE_M) / 2
    for k in range(count):
        start = line[0] + along * (first + k * STRIPE_PERIOD_M)
        end = start + along * STRIPE_M
        ring = np.array([start + low * across, end + low * across, end + high * across, start + high * across])
        plan.polygon(ring, Soil.WHITE)


def _draw_painted(plan: _Plan, painted: PaintedLine) -> None:
    match painted.kind:
        case Paint.DASHED_WHITE:
            for dash in _dashes(painted.line):
                plan.ribbon(dash, painted.width, Soil.WHITE)
        case Paint.SOLID_YELLOW:
            plan.ribbon(painted.line, painted.width, Soil.YELLOW)
        case Paint.DOUBLE_YELLOW:
            for side in (-1, 1):
                plan.ribbon(painted.line, DOUBLE_SHARE * painted.width, Soil.YELLOW, side * 0.35 * painted.width)
        case _:
            plan.ribbon(painted.line, painted.width, Soil.WHITE)


def _normals(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals (K, 2) to the left of a polyline, averaged at inner vertices."""
    steps = np.diff(line, axis=0)
    steps = steps / np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)[:, None]
    mean = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    mean = mean / np.maximum(np.hypot(mean[:, 0], mean[:, 1]), 1e-9)[:, None]
    return np.column_stack([-mean[:, 1], mean[:, 0]])


def _dashes(line: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
    """The painted pieces of a dashed line."""
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    pieces = []
    for start in np.arange(DASH_PERIOD_M / 2 - DASH_M / 2, lengths[-1], DASH_PERIOD_M):
        end = min(start + DASH_M, lengths[-1])
        at = np.concatenate([[start], lengths[(lengths > start) & (lengths < end)], [end]])
        pieces.append(np.column_stack([np.interp(at, lengths, line[:, 0]), np.interp(at, lengths, line[:, 1])]))
    return pieces


@kernel(allocates=True)
def _develop(samples: np.ndarray, first_row: int, first_column: int, soil: np.ndarray, image: np.ndarray) -> None:
    """One tile: its soil (the sample in each pixel's middle) and RGB, with grain that depends on the place only."""
    rows, columns = soil.shape
    for i in range(rows):
        for j in range(columns):
            kind = samples[FINE * i + FINE // 2, FINE * j + FINE // 2]
            red, green, blue = np.int64(0), np.int64(0), np.int64(0)
            for a in range(FINE):
                for b in range(FINE):
                    sample = samples[FINE * i + a, FINE * j + b]
                    red += SOIL_COLOR[sample, 0]
                    green += SOIL_COLOR[sample, 1]
                    blue += SOIL_COLOR[sample, 2]
            noise = np.int64(0)
            for scale in (0, 3):
                mixed = (np.uint32((first_row + i) >> scale) * np.uint32(73856093)) ^ (
                    np.uint32((first_column + j) >> scale) * np.uint32(19349663)
                )
                mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
                noise += np.int64((mixed >> np.uint32(16)) & np.uint32(255)) - 128
            shift = noise * np.int64(SOIL_GRAIN[kind]) // 256
            soil[i, j] = kind
            image[i, j, 0] = min(max(red // (FINE * FINE) + shift, 0), 255)
            image[i, j, 1] = min(max(green // (FINE * FINE) + shift, 0), 255)
            image[i, j, 2] = min(max(blue // (FINE * FINE) + shift, 0), 255)


@kernel(allocates=True)
def _halve(image: np.ndarray, out: np.ndarray) -> None:
    """Fill `out` with the mean of every 2 x 2 block of an RGB picture."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for c in range(3):
                total = (
                    np.uint32(image[2 * i, 2 * j, c])
                    + np.uint32(image[2 * i + 1, 2 * j, c])
                    + np.uint32(image[2 * i, 2 * j + 1, c])
                    + np.uint32(image[2 * i + 1, 2 * j + 1, c])
                )
                out[i, j, c] = (total + np.uint32(2)) >> np.uint32(2)


def _level_table(rows: int, columns: int) -> NDArray[np.int64]:
    """(LEVELS, 3) first texel, rows and columns of every level of the pyramid."""
    shapes = np.array([[rows >> level, columns >> level] for level in range(LEVELS)], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))[:-1]])
    return np.column_stack([starts, shapes])


def _level(texels: NDArray[np.uint8], levels: NDArray[np.int64], level: int) -> NDArray[np.uint8]:
    """One level of the pyramid as a picture (rows, columns, 3), sharing memory."""
    start, rows, columns = levels[level].tolist()
    return texels[start : start + rows * columns].reshape(rows, columns, 3)

"""The ground as a picture from above with a pyramid of coarser copies, looked up by the renderer.

Pixel (row, column) of level l covers the square of side `resolution * 2**l` metres whose lower left corner is
`corner + side * (column, row)`: rows run north.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from navforge.town.world import Paint, PaintedLine, TownMap

RESOLUTION_M = 0.125
BORDER_M = 60.0
LEVELS = 8
DASH_M, DASH_PERIOD_M = 3.0, 9.0
STRIPE_M, STRIPE_PERIOD_M = 0.5, 1.0
KERB_M = 0.25
DOUBLE_GAP_M = 0.30
SMOOTH = 8
"""Fixed-point factor of polygon corners while drawing: corners are rounded to 1 / SMOOTH pixel."""


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
    size = np.ceil((np.array([high_x, high_y]) + BORDER_M - corner) / RESOLUTION_M).astype(int)
    unit = 2 ** (LEVELS - 1)
    width, height = (int(-(-n // unit) * unit) for n in size)
    canvas = _Canvas(corner, width, height)
    _draw_areas(canvas, town)
    for crosswalk in town.crosswalks:
        _draw_stripes(canvas, crosswalk.line, crosswalk.polygon)
    for line in town.painted_lines:
        _draw_painted(canvas, line)
    soil = np.asarray(canvas.image).copy()
    texels, levels = _pyramid(_colored(soil))
    return Ground(soil, texels, levels, np.array([*corner, RESOLUTION_M]))


class _Canvas:
    """Polygons in metres onto an 8-bit image of soils."""

    def __init__(self, corner: NDArray[np.float64], width: int, height: int) -> None:
        self.corner = corner
        self.image = Image.new("L", (width, height), int(Soil.GRASS))
        self._draw = ImageDraw.Draw(self.image)

    def polygon(self, ring: NDArray[np.float64], soil: Soil) -> None:
        """Fill a ring (K, 2)."""
        pixels = (ring - self.corner) / RESOLUTION_M - 0.5
        if len(ring) >= 3:
            self._draw.polygon([(float(x), float(y)) for x, y in pixels], fill=int(soil))

    def ribbon(self, line: NDArray[np.float64], width: float, soil: Soil, offset: float = 0.0) -> None:
        """Fill the band of `width` about a polyline (K, 2), shifted to its left by `offset`, m."""
        if len(line) >= 2:
            normal = _normals(line)
            left, right = line + (offset + width / 2) * normal, line + (offset - width / 2) * normal
            for k in range(len(line) - 1):
                self.polygon(np.array([right[k], right[k + 1], left[k + 1], left[k]]), soil)


def _draw_areas(canvas: _Canvas, town: TownMap) -> None:
    """Pavement lowest, then kerbs as the rims of everything a car may drive on, then the asphalt itself."""
    for ring in town.walkways:
        canvas.polygon(ring, Soil.PAVEMENT)
    drivable: list[tuple[NDArray[np.float64], Soil]] = []
    drivable += [(park.polygon, Soil.CAR_PARK) for park in town.carparks]
    drivable += [(block.polygon, Soil.ASPHALT) for block in town.roadblocks.values()]
    drivable += [(area.polygon, Soil.JUNCTION) for area in town.intersections.values()]
    drivable += [(way.polygon, Soil.JUNCTION) for way in town.connectors.values()]
    for ring, _ in drivable:
        canvas.ribbon(np.concatenate([ring, ring[:1]]), 2 * KERB_M, Soil.KERB)
    for ring, soil in drivable:
        canvas.polygon(ring, soil)


def _draw_stripes(canvas: _Canvas, line: NDArray[np.float64], polygon: NDArray[np.float64]) -> None:
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
        canvas.polygon(ring, Soil.WHITE)


def _draw_painted(canvas: _Canvas, painted: PaintedLine) -> None:
    match painted.kind:
        case Paint.DASHED_WHITE:
            for dash in _dashes(painted.line):
                canvas.ribbon(dash, painted.width, Soil.WHITE)
        case Paint.SOLID_YELLOW:
            canvas.ribbon(painted.line, painted.width, Soil.YELLOW)
        case Paint.DOUBLE_YELLOW:
            for side in (-0.5, 0.5):
                canvas.ribbon(painted.line, painted.width, Soil.YELLOW, side * (DOUBLE_GAP_M + painted.width) / 1.5)
        case _:
            canvas.ribbon(painted.line, painted.width, Soil.WHITE)


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


@njit(cache=True)
def _colored(soil: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) of a soil picture, with grain that depends on the pixel's place only."""
    rows, columns = soil.shape
    out = np.empty((rows, columns, 3), np.uint8)
    for i in range(rows):
        for j in range(columns):
            kind = soil[i, j]
            noise = np.int64(0)
            for scale in (0, 3):
                mixed = (np.uint32(i >> scale) * np.uint32(73856093)) ^ (np.uint32(j >> scale) * np.uint32(19349663))
                mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
                noise += np.int64((mixed >> np.uint32(16)) & np.uint32(255)) - 128
            shift = noise * np.int64(SOIL_GRAIN[kind]) // 256
            for c in range(3):
                out[i, j, c] = min(max(np.int64(SOIL_COLOR[kind, c]) + shift, 0), 255)
    return out


@njit(cache=True)
def _halved(image: np.ndarray) -> np.ndarray:
    """Mean of every 2 x 2 block of an RGB picture."""
    rows, columns, _ = image.shape
    out = np.empty((rows // 2, columns // 2, 3), np.uint8)
    for i in range(rows // 2):
        for j in range(columns // 2):
            for c in range(3):
                total = (
                    np.uint32(image[2 * i, 2 * j, c])
                    + np.uint32(image[2 * i + 1, 2 * j, c])
                    + np.uint32(image[2 * i, 2 * j + 1, c])
                    + np.uint32(image[2 * i + 1, 2 * j + 1, c])
                )
                out[i, j, c] = (total + 2) >> 2
    return out


def _pyramid(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    pictures = [image]
    while len(pictures) < LEVELS:
        pictures.append(_halved(pictures[-1]))
    shapes = np.array([picture.shape[:2] for picture in pictures], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(shapes.prod(axis=1))[:-1]])
    return np.concatenate([picture.reshape(-1, 3) for picture in pictures]), np.column_stack([starts, shapes])

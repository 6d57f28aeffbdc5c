"""Compiled loops of the renderer: rays of a camera, and the colour of every pixel.

Colours are in [0, 1] as displayed. Distances along a ray are in lengths of its direction: depth, for
camera rays.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from navforge.town.sensors.mesh import Surface

Float32 = NDArray[np.float32]

SKY_OWNER, SCENERY_OWNER, GROUND_OWNER = -3, -2, -1
"""What a pixel shows when it shows no actor; an actor's pixels hold its row in the snapshot."""

_FACADE, _FOLIAGE, _GLASS = int(Surface.FACADE), int(Surface.FOLIAGE), int(Surface.GLASS)
_LAMP, _GLOW, _STRIPES = int(Surface.LAMP), int(Surface.GLOW), int(Surface.STRIPES)
FLOOR_M, BAY_M = 3.2, 2.6
MAX_TAPS = 6


class Solids(NamedTuple):
    """Triangles as the shader needs them: planes `normal . p = offset` with their material."""

    normal: Float32
    offset: Float32
    surface: NDArray[np.uint8]
    color: Float32
    slot: NDArray[np.int32]


class GroundImage(NamedTuple):
    """`ground.Ground` and the shadows on it around ego, as the shader needs them."""

    texels: NDArray[np.uint8]
    level_start: NDArray[np.int64]
    level_shape: NDArray[np.int64]
    corner: Float32
    resolution: float
    shadow: NDArray[np.uint8]
    shadow_corner: NDArray[np.float64]
    shadow_resolution: float


class Light(NamedTuple):
    """`look.Look` as arrays (3,), and visibility in m."""

    sun: Float32
    sun_color: Float32
    ambient: Float32
    zenith: Float32
    horizon: Float32
    visibility: float


@njit(cache=True)
def aim(rays: np.ndarray, heading: float, height: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn ego-frame rays (P, 3) by `heading`; where each ends: on the ground, or after `reach`."""
    count = len(rays)
    directions = np.empty((count, 3), np.float32)
    far = np.empty(count, np.float32)
    cos, sin = math.cos(heading), math.sin(heading)
    for p in range(count):
        x, y, z = rays[p, 0], rays[p, 1], rays[p, 2]
        directions[p, 0] = cos * x - sin * y
        directions[p, 1] = sin * x + cos * y
        directions[p, 2] = z
        far[p] = min(reach, -height / z) if z < 0 else reach
    return directions, far


@njit(cache=True)
def distance_to(hit: int, solids: Solids, ox: float, oy: float, oz: float, d: np.ndarray) -> float:
    """Where the ray from (ox, oy, oz) along `d` meets the plane of triangle `hit`."""
    normal = solids.normal[hit]
    slope = normal[0] * d[0] + normal[1] * d[1] + normal[2] * d[2]
    if abs(slope) < 1e-9:
        return math.inf
    return (solids.offset[hit] - normal[0] * ox - normal[1] * oy - normal[2] * oz) / slope


@njit(cache=True)
def _hash(a: int, b: int, c: int) -> float:
    """A number in [0, 1) from three integers."""
    mixed = (np.uint32(a) * np.uint32(73856093)) ^ (np.uint32(b) * np.uint32(19349663))
    mixed = (mixed ^ (np.uint32(c) * np.uint32(83492791))) * np.uint32(2654435761)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(2246822519)
    return ((mixed >> np.uint32(8)) & np.uint32(0xFFFF)) / 65536.0


@njit(cache=True)
def _sky(light: Light, z: float, toward_sun: float, out: np.ndarray) -> None:
    """Colour of the sky in a unit direction of height `z` and cosine `toward_sun` to the sun."""
    share = math.sqrt(min(max(z, 0.0) / 0.7, 1.0))
    glow = max(toward_sun, 0.0) ** 24 * 0.25
    for c in range(3):
        out[c] = light.horizon[c] + share * (light.zenith[c] - light.horizon[c]) + glow


@njit(cache=True)
def _texel(image: GroundImage, level: int, x: float, y: float, out: np.ndarray) -> None:
    """Add to `out` the bilinear colour of one pyramid level at a place of the town."""
    side = image.resolution * (1 << level)
    u, v = (x - image.corner[0]) / side - 0.5, (y - image.corner[1]) / side - 0.5
    column, row = math.floor(u), math.floor(v)
    fu, fv = u - column, v - row
    rows, columns = image.level_shape[level, 0], image.level_shape[level, 1]
    row_a, row_b = min(max(row, 0), rows - 1), min(max(row + 1, 0), rows - 1)
    column_a, column_b = min(max(column, 0), columns - 1), min(max(column + 1, 0), columns - 1)
    start = image.level_start[level]
    aa, ab = start + row_a * columns + column_a, start + row_a * columns + column_b
    ba, bb = start + row_b * columns + column_a, start + row_b * columns + column_b
    for c in range(3):
        low = image.texels[aa, c] * (1.0 - fu) + image.texels[ab, c] * fu
        high = image.texels[ba, c] * (1.0 - fu) + image.texels[bb, c] * fu
        out[c] += low * (1.0 - fv) + high * fv


@njit(cache=True)
def _ground(image: GroundImage, light: Light, x: float, y: float, d: np.ndarray, t: float, pixel: float, out) -> None:
    """Colour of the ground at (x, y), averaged over the pixel's footprint, which is long in the viewing direction."""
    flat = math.sqrt(d[0] * d[0] + d[1] * d[1])
    across = max(t * pixel, 1e-6)
    along = across * max(flat, -d[2]) / max(-d[2], 1e-6)
    taps = int(min(max(math.ceil(along / across), 1.0), MAX_TAPS))
    blur = max(across, along / taps) / image.resolution
    level = int(min(max(math.log2(blur) + 0.5, 0.0), len(image.level_start) - 1.0))
    color = np.zeros(3)
    if flat < 1e-6:
        taps, flat = 1, 1.0
    for k in range(taps):
        shift = ((k + 0.5) / taps - 0.5) * along / flat
        _texel(image, level, x + shift * d[0], y + shift * d[1], color)
    lit = 1.0 - _shadow(image, x, y)
    for c in range(3):
        sun = light.sun_color[c] * light.sun[2] * 1.15
        out[c] = color[c] / (255.0 * taps) * (light.ambient[c] + lit * sun)


@njit(cache=True)
def _shadow(image: GroundImage, x: float, y: float) -> float:
    """Share of the sun that is hidden at a place on the ground; smooth between shadow pixels."""
    u = (x - image.shadow_corner[0]) / image.shadow_resolution - 0.5
    v = (y - image.shadow_corner[1]) / image.shadow_resolution - 0.5
    column, row = math.floor(u), math.floor(v)
    if row < 0 or column < 0 or row + 1 >= image.shadow.shape[0] or column + 1 >= image.shadow.shape[1]:
        return 0.0
    fu, fv = u - column, v - row
    low = image.shadow[row, column] * (1.0 - fu) + image.shadow[row, column + 1] * fu
    high = image.shadow[row + 1, column] * (1.0 - fu) + image.shadow[row + 1, column + 1] * fu
    return (low * (1.0 - fv) + high * fv) / 255.0


@njit(cache=True)
def _facade(n: np.ndarray, x: float, y: float, z: float, slot: int, blur: float, out: np.ndarray) -> None:
    """Rows of windows on a wall; they fade into the wall's mean where they are smaller than a pixel."""
    along = (n[0] * y - n[1] * x) / BAY_M
    floor = z / FLOOR_M
    bay, storey = math.floor(along), math.floor(floor)
    fu, fv = along - bay, floor - storey
    margin = 0.16 + 0.14 * _hash(slot, 3, 1)
    window = fv > 0.28 and fv < 0.80 and fu > margin and fu < 1.0 - margin
    sharp = min(max(1.6 - 1.2 * blur, 0.0), 1.0)
    shade = 0.16 + 0.22 * _hash(int(bay), int(storey), slot)
    share = 0.52 * (1.0 - 2.0 * margin)
    for c in range(3):
        glass = shade * (0.9 + 0.1 * c)
        mean = out[c] * (1.0 - share) + 0.27 * share
        detail = glass if window else out[c]
        if storey == 0 and not window:
            detail *= 0.86
        out[c] = mean + sharp * (detail - mean)


@njit(cache=True)
def _solid(
    hit: int, solids: Solids, lamps: np.ndarray, light: Light, place: np.ndarray, d: np.ndarray, blur: float, out
) -> None:
    """Colour of triangle `hit` at `place` seen along the unit direction `d`."""
    surface, slot = solids.surface[hit], solids.slot[hit]
    normal = solids.normal[hit]
    facing = normal[0] * d[0] + normal[1] * d[1] + normal[2] * d[2]
    n = np.empty(3)
    for c in range(3):
        n[c] = -normal[c] if facing > 0 else normal[c]
        out[c] = solids.color[hit, c]
    if surface == _LAMP:
        for c in range(3):
            out[c] = lamps[slot, c]
        return
    if surface == _GLOW:
        return
    if surface == _FACADE:
        _facade(n, place[0], place[1], place[2], slot, blur, out)
    elif surface == _STRIPES:
        if math.floor(place[2] / 0.22) % 2 == 1:
            out[0], out[1], out[2] = 0.92, 0.92, 0.90
    elif surface == _FOLIAGE:
        size = 0.35
        speck = _hash(math.floor(place[0] / size), math.floor(place[1] / size), math.floor(place[2] / size))
        for c in range(3):
            out[c] *= 0.72 + 0.45 * speck
    direct = max(n[0] * light.sun[0] + n[1] * light.sun[1] + n[2] * light.sun[2], 0.0)
    if surface == _FOLIAGE:
        direct = 0.35 + 0.5 * direct
    above = 0.78 + 0.22 * n[2]
    for c in range(3):
        out[c] *= light.ambient[c] * above + 1.15 * light.sun_color[c] * direct
    if surface == _GLASS:
        bounce = d[2] - 2.0 * (n[0] * d[0] + n[1] * d[1] + n[2] * d[2]) * n[2]
        if bounce > 0.0:
            for c in range(3):
                sky = light.horizon[c] + math.sqrt(min(bounce, 1.0)) * (light.zenith[c] - light.horizon[c])
                out[c] += 0.35 * sky


@njit(cache=True)
def shade(
    origin: np.ndarray,
    directions: np.ndarray,
    fixed_hit: np.ndarray,
    moving_hit: np.ndarray,
    fixed: Solids,
    moving: Solids,
    lamps: np.ndarray,
    ground: GroundImage,
    light: Light,
    pixel: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour, owner and depth of every pixel.

    Args:
        origin: (3,) camera, town frame.
        directions: (P, 3) rays of axial length 1, town frame.
        fixed_hit: (P,) first triangle of the scenery, -1 none; only those nearer than the ground are given.
        moving_hit: (P,) the same of the actors.
        fixed: the scenery's triangles.
        moving: the actors' triangles.
        lamps: (S, 3) colour of every lamp slot.
        ground: pictures of the ground.
        light: light of the log.
        pixel: angle of a pixel, rad.

    Returns:
        RGB (P, 3) uint8; owner (P,) int32, an actor's row or one of the `_OWNER` constants; depth (P,) m, inf for
        sky.
    """
    count = len(directions)
    image = np.empty((count, 3), np.uint8)
    owner = np.empty(count, np.int32)
    depth = np.empty(count, np.float32)
    color, haze, unit, place = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    ox, oy, oz = origin[0], origin[1], origin[2]
    for p in range(count):
        d = directions[p]
        length = math.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        for c in range(3):
            unit[c] = d[c] / length
        toward_sun = unit[0] * light.sun[0] + unit[1] * light.sun[1] + unit[2] * light.sun[2]
        t = math.inf
        who = SKY_OWNER
        if d[2] < 0.0:
            t, who = -oz / d[2], GROUND_OWNER
        if fixed_hit[p] >= 0:
            there = distance_to(fixed_hit[p], fixed, ox, oy, oz, d)
            if there < t:
                t, who = there, SCENERY_OWNER
        if moving_hit[p] >= 0:
            there = distance_to(moving_hit[p], moving, ox, oy, oz, d)
            if there < t:
                t, who = there, moving.slot[moving_hit[p]]
        owner[p] = who
        depth[p] = t
        if who == SKY_OWNER:
            _sky(light, unit[2], toward_sun, color)
        else:
            for c in range(3):
                place[c] = origin[c] + t * d[c]
            if who == GROUND_OWNER:
                _ground(ground, light, place[0], place[1], d, t, pixel, color)
            elif who == SCENERY_OWNER:
                _solid(fixed_hit[p], fixed, lamps, light, place, unit, t * length * pixel, color)
            else:
                _solid(moving_hit[p], moving, lamps, light, place, unit, t * length * pixel, color)
            clear = math.exp(-t * length / light.visibility)
            _sky(light, 0.0, toward_sun, haze)
            for c in range(3):
                color[c] = haze[c] + clear * (color[c] - haze[c])
        for c in range(3):
            image[p, c] = int(min(max(color[c], 0.0), 1.0) * 255.0 + 0.5)
    return image, owner, depth

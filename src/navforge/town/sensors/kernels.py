"""Compiled loops of the sensors: rays, the colour of every pixel, the range of every LiDAR ray.

All in one file: numba notices a changed function only in the file of its caller.

Numbers travel as scalars and tuples rather than small arrays, which keeps them in registers; arrays are passed one by
one, because compiled code counts references of every array inside a tuple.

Colours are in [0, 1] as displayed. Distances along a ray are in lengths of its direction: depth, for
camera rays.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.compiled import kernel
from navforge.town.sensors.mesh import Surface

Float32 = NDArray[np.float32]

SKY_OWNER, SCENERY_OWNER, GROUND_OWNER = -3, -2, -1
"""What a pixel shows when it shows no actor; an actor's pixels hold its row in the snapshot."""

_FACADE, _FOLIAGE, _GLASS = int(Surface.FACADE), int(Surface.FOLIAGE), int(Surface.GLASS)
_LAMP, _GLOW, _STRIPES = int(Surface.LAMP), int(Surface.GLOW), int(Surface.STRIPES)
FLOOR_M, BAY_M = 3.2, 2.6
_GLASS_RETURN = 0.12
_GRAZING = 0.02
"""LiDAR returns of the ground vanish where the beam meets it flatter than this (sine)."""
MAX_TAPS = 6


class Solids(NamedTuple):
    """Triangles as the shader needs them: plane columns nx, ny, nz, offset (normal . p = offset) and material."""

    plane: Float32
    """(T, 4)"""
    surface: NDArray[np.uint8]
    color: Float32
    """(T, 3)"""
    slot: NDArray[np.int32]


class GroundImage(NamedTuple):
    """`ground.Ground` and the shadows on it around ego, as the shader needs them."""

    texels: NDArray[np.uint8]
    levels: NDArray[np.int64]
    """(L, 3) first texel, rows, columns of every level."""
    frame: NDArray[np.float64]
    """(3,) lower left corner x, y and resolution, m."""
    shadow: NDArray[np.uint8]
    shadow_frame: NDArray[np.float64]
    """(3,) as `frame`."""


class LightRow(IntEnum):
    """Rows of the light table (6, 3): direction to the sun, colours, and (visibility in m, 0, 0)."""

    SUN = 0
    SUN_COLOR = 1
    AMBIENT = 2
    ZENITH = 3
    HORIZON = 4
    VISIBILITY = 5


_SUN, _SUN_COLOR, _AMBIENT = int(LightRow.SUN), int(LightRow.SUN_COLOR), int(LightRow.AMBIENT)
_ZENITH, _HORIZON, _VISIBILITY = int(LightRow.ZENITH), int(LightRow.HORIZON), int(LightRow.VISIBILITY)


@kernel(allocates=True)
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


@kernel(allocates=True)
def distance_to(plane: np.ndarray, hit: int, ox: float, oy: float, oz: float, x: float, y: float, z: float) -> float:
    """Where the ray from (ox, oy, oz) along (x, y, z) meets the plane of triangle `hit`."""
    nx, ny, nz = plane[hit, 0], plane[hit, 1], plane[hit, 2]
    slope = nx * x + ny * y + nz * z
    if abs(slope) < 1e-9:
        return math.inf
    return (plane[hit, 3] - nx * ox - ny * oy - nz * oz) / slope


@kernel(allocates=True)
def _hash(a: int, b: int, c: int) -> float:
    """A number in [0, 1) from three integers."""
    mixed = (np.uint32(a) * np.uint32(73856093)) ^ (np.uint32(b) * np.uint32(19349663))
    mixed = (mixed ^ (np.uint32(c) * np.uint32(83492791))) * np.uint32(2654435761)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(2246822519)
    return ((mixed >> np.uint32(8)) & np.uint32(0xFFFF)) / 65536.0


@kernel(allocates=True)
def _sky(light: np.ndarray, z: float, toward_sun: float) -> tuple[float, float, float]:
    """Colour of the sky in a unit direction of height `z` and cosine `toward_sun` to the sun."""
    share = math.sqrt(min(max(z, 0.0) / 0.7, 1.0))
    glow = max(toward_sun, 0.0)
    glow = glow * glow * glow
    glow = glow * glow
    glow = 0.25 * glow * glow * glow * glow
    return (
        light[_HORIZON, 0] + share * (light[_ZENITH, 0] - light[_HORIZON, 0]) + glow,
        light[_HORIZON, 1] + share * (light[_ZENITH, 1] - light[_HORIZON, 1]) + glow,
        light[_HORIZON, 2] + share * (light[_ZENITH, 2] - light[_HORIZON, 2]) + glow,
    )


@kernel(allocates=True)
def _blend(texels: np.ndarray, aa: int, ab: int, ba: int, bb: int, c: int, fu: float, fv: float) -> float:
    low = texels[aa, c] * (1.0 - fu) + texels[ab, c] * fu
    high = texels[ba, c] * (1.0 - fu) + texels[bb, c] * fu
    return low * (1.0 - fv) + high * fv


@kernel(allocates=True)
def _texel(
    texels: np.ndarray, levels: np.ndarray, frame: np.ndarray, level: int, x: float, y: float
) -> tuple[float, float, float]:
    """Bilinear colour (0-255) of one pyramid level at a place of the town."""
    side = frame[2] * (1 << level)
    rows, columns = levels[level, 1], levels[level, 2]
    u = min(max((x - frame[0]) / side - 0.5, 0.0), columns - 1.001)
    v = min(max((y - frame[1]) / side - 0.5, 0.0), rows - 1.001)
    column, row = int(u), int(v)
    fu, fv = u - column, v - row
    aa = levels[level, 0] + row * columns + column
    ab, ba, bb = aa + 1, aa + columns, aa + columns + 1
    return (
        _blend(texels, aa, ab, ba, bb, 0, fu, fv),
        _blend(texels, aa, ab, ba, bb, 1, fu, fv),
        _blend(texels, aa, ab, ba, bb, 2, fu, fv),
    )


@kernel(allocates=True)
def _shadow(shadow: np.ndarray, frame: np.ndarray, x: float, y: float) -> float:
    """Share of the sun that is hidden at a place on the ground; smooth between shadow pixels."""
    u, v = (x - frame[0]) / frame[2] - 0.5, (y - frame[1]) / frame[2] - 0.5
    if u < 0.0 or v < 0.0 or u >= shadow.shape[1] - 1 or v >= shadow.shape[0] - 1:
        return 0.0
    column, row = int(u), int(v)
    fu, fv = u - column, v - row
    low = shadow[row, column] * (1.0 - fu) + shadow[row, column + 1] * fu
    high = shadow[row + 1, column] * (1.0 - fu) + shadow[row + 1, column + 1] * fu
    return (low * (1.0 - fv) + high * fv) / 255.0


@kernel(allocates=True)
def _ground(
    texels: np.ndarray,
    levels: np.ndarray,
    frame: np.ndarray,
    x: float,
    y: float,
    direction: tuple[float, float, float],
    across: float,
) -> tuple[float, float, float]:
    """Paint of the ground at (x, y), averaged over the pixel's footprint: `across` wide, long in viewing direction."""
    dx, dy, dz = direction
    flat = math.sqrt(dx * dx + dy * dy)
    along = across * max(flat / -dz, 1.0)
    taps = int(min(max(math.ceil(along / across), 1.0), MAX_TAPS))
    blur = max(across, along / taps) / frame[2]
    level = 0
    while blur > 1.4 and level < len(levels) - 1:
        blur *= 0.5
        level += 1
    red, green, blue = 0.0, 0.0, 0.0
    reach = along / max(flat, 1e-9) if taps > 1 else 0.0
    for k in range(taps):
        shift = ((k + 0.5) / taps - 0.5) * reach
        r, g, b = _texel(texels, levels, frame, level, x + shift * dx, y + shift * dy)
        red, green, blue = red + r, green + g, blue + b
    scale = 1.0 / (255.0 * taps)
    return red * scale, green * scale, blue * scale


@kernel(allocates=True)
def _facade(
    nx: float, ny: float, place: tuple[float, float, float], slot: int, blur: float, color: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Rows of windows on a wall; they fade into the wall's mean where they are smaller than a pixel."""
    x, y, z = place
    along, floor = (nx * y - ny * x) / BAY_M, z / FLOOR_M
    bay, storey = math.floor(along), math.floor(floor)
    fu, fv = along - bay, floor - storey
    margin = 0.16 + 0.14 * _hash(slot, 3, 1)
    window = fv > 0.28 and fv < 0.80 and fu > margin and fu < 1.0 - margin
    sharp = min(max(1.6 - 1.2 * blur, 0.0), 1.0)
    shade = 0.16 + 0.22 * _hash(bay, storey, slot)
    share = 0.52 * (1.0 - 2.0 * margin)
    dim = 0.86 if storey == 0 else 1.0
    r, g, b = color
    mean = (r + share * (0.27 - r), g + share * (0.27 - g), b + share * (0.27 - b))
    detail = (0.9 * shade, shade, 1.1 * shade) if window else (dim * r, dim * g, dim * b)
    return (
        mean[0] + sharp * (detail[0] - mean[0]),
        mean[1] + sharp * (detail[1] - mean[1]),
        mean[2] + sharp * (detail[2] - mean[2]),
    )


@kernel(allocates=True)
def _pattern(
    surface: int,
    slot: int,
    nx: float,
    ny: float,
    place: tuple[float, float, float],
    blur: float,
    color: tuple[float, float, float],
) -> tuple[float, float, float]:
    """Colour of a surface before light falls on it."""
    if surface == _FACADE:
        return _facade(nx, ny, place, slot, blur, color)
    if surface == _STRIPES and math.floor(place[2] / 0.22) % 2 == 1:
        return 0.92, 0.92, 0.90
    if surface == _FOLIAGE:
        size = 0.35
        speck = _hash(math.floor(place[0] / size), math.floor(place[1] / size), math.floor(place[2] / size))
        gain = 0.72 + 0.45 * speck
        return gain * color[0], gain * color[1], gain * color[2]
    return color


@kernel(allocates=True)
def _lit(
    surface: int,
    normal: tuple[float, float, float],
    unit: tuple[float, float, float],
    light: np.ndarray,
    color: tuple[float, float, float],
) -> tuple[float, float, float]:
    """Colour under sun and sky of a surface whose `normal` faces the viewer; glass mirrors the sky."""
    nx, ny, nz = normal
    direct = max(nx * light[_SUN, 0] + ny * light[_SUN, 1] + nz * light[_SUN, 2], 0.0)
    if surface == _FOLIAGE:
        direct = 0.35 + 0.5 * direct
    above = 0.78 + 0.22 * nz
    direct *= 1.15
    r = color[0] * (light[_AMBIENT, 0] * above + light[_SUN_COLOR, 0] * direct)
    g = color[1] * (light[_AMBIENT, 1] * above + light[_SUN_COLOR, 1] * direct)
    b = color[2] * (light[_AMBIENT, 2] * above + light[_SUN_COLOR, 2] * direct)
    if surface == _GLASS:
        bounce = unit[2] - 2.0 * (nx * unit[0] + ny * unit[1] + nz * unit[2]) * nz
        if bounce > 0.0:
            sky = _sky(light, bounce, 0.0)
            r, g, b = r + 0.35 * sky[0], g + 0.35 * sky[1], b + 0.35 * sky[2]
    return r, g, b


@kernel(allocates=True)
def _byte(value: float) -> int:
    return int(min(max(value, 0.0), 1.0) * 255.0 + 0.5)


@kernel(allocates=True)
def shade(
    origin: np.ndarray,
    directions: np.ndarray,
    fixed_hit: np.ndarray,
    moving_hit: np.ndarray,
    fixed_count: int,
    solids: Solids,
    lamps: np.ndarray,
    ground: GroundImage,
    light: np.ndarray,
    pixel: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colour, owner and depth of every pixel.

    Args:
        origin: (3,) camera, town frame.
        directions: (P, 3) rays of axial length 1, town frame.
        fixed_hit: (P,) first triangle of the scenery, -1 none; only those nearer than the ground are given.
        moving_hit: (P,) first triangle of the actors, counted from the first actor's, -1 none.
        fixed_count: triangles of the scenery; those of the actors follow them in `solids`.
        solids: all triangles.
        lamps: (S, 3) colour of every lamp slot.
        ground: pictures of the ground.
        light: (6, 3) `LightRow`.
        pixel: angle of a pixel, rad.

    Returns:
        RGB (P, 3) uint8; owner (P,) int32, an actor's row or one of the `_OWNER` constants; depth (P,) m, inf for
        sky.
    """
    plane, surfaces, colors, slots = solids
    texels, levels, frame, shadow, shadow_frame = ground
    count = len(directions)
    image = np.empty((count, 3), np.uint8)
    owner = np.empty(count, np.int32)
    depth = np.empty(count, np.float32)
    ox, oy, oz = origin[0], origin[1], origin[2]
    for p in range(count):
        dx, dy, dz = float(directions[p, 0]), float(directions[p, 1]), float(directions[p, 2])
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        unit = (dx / length, dy / length, dz / length)
        toward_sun = unit[0] * light[_SUN, 0] + unit[1] * light[_SUN, 1] + unit[2] * light[_SUN, 2]
        t, who, hit = math.inf, SKY_OWNER, -1
        if dz < 0.0:
            t, who = -oz / dz, GROUND_OWNER
        if fixed_hit[p] >= 0:
            there = distance_to(plane, fixed_hit[p], ox, oy, oz, dx, dy, dz)
            if there < t:
                t, who, hit = there, SCENERY_OWNER, np.int64(fixed_hit[p])
        if moving_hit[p] >= 0:
            there = distance_to(plane, fixed_count + moving_hit[p], ox, oy, oz, dx, dy, dz)
            if there < t:
                hit = fixed_count + np.int64(moving_hit[p])
                t, who = there, np.int64(slots[hit])
        owner[p] = who
        depth[p] = t
        if who == SKY_OWNER:
            r, g, b = _sky(light, unit[2], toward_sun)
        else:
            place = (ox + t * dx, oy + t * dy, oz + t * dz)
            across = t * length * pixel
            if hit < 0:
                r, g, b = _ground(texels, levels, frame, place[0], place[1], (dx, dy, dz), across)
                sun = (1.0 - _shadow(shadow, shadow_frame, place[0], place[1])) * light[_SUN, 2] * 1.15
                r *= light[_AMBIENT, 0] + sun * light[_SUN_COLOR, 0]
                g *= light[_AMBIENT, 1] + sun * light[_SUN_COLOR, 1]
                b *= light[_AMBIENT, 2] + sun * light[_SUN_COLOR, 2]
            else:
                surface = surfaces[hit]
                r, g, b = float(colors[hit, 0]), float(colors[hit, 1]), float(colors[hit, 2])
                if surface == _LAMP:
                    slot = slots[hit]
                    r, g, b = lamps[slot, 0], lamps[slot, 1], lamps[slot, 2]
                elif surface != _GLOW:
                    nx, ny, nz = float(plane[hit, 0]), float(plane[hit, 1]), float(plane[hit, 2])
                    if nx * dx + ny * dy + nz * dz > 0.0:
                        nx, ny, nz = -nx, -ny, -nz
                    r, g, b = _pattern(surface, slots[hit], nx, ny, place, across, (r, g, b))
                    r, g, b = _lit(surface, (nx, ny, nz), unit, light, (r, g, b))
            clear = math.exp(-t * length / light[_VISIBILITY, 0])
            haze = _sky(light, 0.0, toward_sun)
            r = haze[0] + clear * (r - haze[0])
            g = haze[1] + clear * (g - haze[1])
            b = haze[2] + clear * (b - haze[2])
        image[p, 0], image[p, 1], image[p, 2] = _byte(r), _byte(g), _byte(b)
    return image, owner, depth


@kernel(allocates=True)
def _surface_return(
    plane: np.ndarray, surface: np.ndarray, color: np.ndarray, hit: int, d: tuple[float, float, float]
) -> float:
    """Intensity, 0-255, of a return from triangle `hit` along the unit direction `d`."""
    facing = abs(plane[hit, 0] * d[0] + plane[hit, 1] * d[1] + plane[hit, 2] * d[2])
    bright = (color[hit, 0] + color[hit, 1] + color[hit, 2]) / 3.0
    if surface[hit] == _GLASS:
        bright = _GLASS_RETURN
    return min(255.0, 15.0 + 170.0 * bright * (0.3 + 0.7 * facing))


@kernel(allocates=True)
def lidar_returns(
    origin: np.ndarray,
    directions: np.ndarray,
    fixed_hit: np.ndarray,
    moving_hit: np.ndarray,
    fixed_count: int,
    solids: Solids,
    soil: np.ndarray,
    frame: np.ndarray,
    soil_intensity: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Range (R,) in m of every unit ray's return, inf for none, and its intensity (R,), 0-255."""
    plane, surface, color, _ = solids
    count = len(directions)
    ranges = np.full(count, np.inf)
    intensity = np.zeros(count, np.float32)
    ox, oy, oz = origin[0], origin[1], origin[2]
    for p in range(count):
        d = (float(directions[p, 0]), float(directions[p, 1]), float(directions[p, 2]))
        nearest = math.inf
        if d[2] < -_GRAZING:
            nearest = -oz / d[2]
            column = int((ox + nearest * d[0] - frame[0]) / frame[2])
            row = int((oy + nearest * d[1] - frame[1]) / frame[2])
            inside = 0 <= row < soil.shape[0] and 0 <= column < soil.shape[1]
            intensity[p] = soil_intensity[soil[row, column] if inside else 0]
        fixed, moving = int(fixed_hit[p]), int(moving_hit[p])
        if fixed >= 0:
            t = distance_to(plane, fixed, ox, oy, oz, d[0], d[1], d[2])
            if t < nearest:
                nearest = t
                intensity[p] = _surface_return(plane, surface, color, fixed, d)
        if moving >= 0:
            t = distance_to(plane, fixed_count + moving, ox, oy, oz, d[0], d[1], d[2])
            if t < nearest:
                nearest = t
                intensity[p] = _surface_return(plane, surface, color, fixed_count + moving, d)
        ranges[p] = nearest
    return ranges, intensity

"""Polylines of the town: resampling, smoothing, offsets, fillets. All arrays (K, 2) float64, metres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Float = NDArray[np.float64]


def arc_length(line: Float) -> Float:
    """Length from the start to every vertex, (K,)."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(steps)])


def resample(line: Float, spacing: float) -> Float:
    """Vertices at equal distances of about `spacing`, both ends kept."""
    along = arc_length(line)
    count = max(int(np.ceil(along[-1] / spacing - 1e-9)), 1) + 1
    return interpolate(line, along, np.linspace(0.0, along[-1], count))


def interpolate(line: Float, along: Float, at: Float) -> Float:
    """Points of `line` at arc lengths `at`, clamped to its ends."""
    return np.stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])], axis=-1)


def headings(line: Float) -> Float:
    """Direction at every vertex (K,), unwrapped: central differences, one-sided at the ends."""
    slope = np.gradient(line, axis=0)
    return np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))


def curvature(line: Float) -> Float:
    """Signed curvature at every vertex (K,), 1/m, positive to the left."""
    along = arc_length(line)
    return np.gradient(headings(line), along)


def normals(line: Float) -> Float:
    """Unit normals to the left (K, 2)."""
    heading = headings(line)
    return np.stack([-np.sin(heading), np.cos(heading)], axis=-1)


def offset(line: Float, left: float | Float) -> Float:
    """The line moved to the left by `left` metres (a number or one per vertex)."""
    return line + normals(line) * np.asarray(left).reshape(-1, 1)


def smooth(line: Float, sigma: float, spacing: float) -> Float:
    """Gaussian smoothing along the arc with both end points and end directions kept; returns `spacing` samples.

    The line is extended straight at both ends by four sigma, so an end stays where it is if the line is straight
    for about that long; otherwise it is pulled back by a linear correction.
    """
    fine = resample(line, spacing)
    width = sigma / (arc_length(fine)[-1] / (len(fine) - 1))
    pad = int(np.ceil(4 * width)) + 1
    before = fine[0] + np.arange(-pad, 0)[:, None] * (fine[1] - fine[0])
    after = fine[-1] + np.arange(1, pad + 1)[:, None] * (fine[-1] - fine[-2])
    padded = gaussian_filter1d(np.concatenate([before, fine, after]), width, axis=0, mode="nearest")
    result = padded[pad:-pad]
    blend = np.linspace(0.0, 1.0, len(fine))[:, None]
    return result + (fine[0] - result[0]) * (1 - blend) + (fine[-1] - result[-1]) * blend


def hermite(start: Float, start_direction: Float, end: Float, end_direction: Float, strength: float = 1.0) -> Float:
    """Cubic curve between two points with given unit directions, sampled at about 0.5 m."""
    chord = float(np.hypot(*(end - start)))
    count = max(int(chord / 0.5), 8) + 1
    t = np.linspace(0.0, 1.0, count)[:, None]
    reach = strength * chord
    return (
        (2 * t**3 - 3 * t**2 + 1) * start
        + (t**3 - 2 * t**2 + t) * reach * start_direction
        + (-2 * t**3 + 3 * t**2) * end
        + (t**3 - t**2) * reach * end_direction
    )


def crossing(p: Float, u: Float, q: Float, v: Float) -> Float | None:
    """Where the line through p along u meets the line through q along v; None if almost parallel."""
    cross = u[0] * v[1] - u[1] * v[0]
    if abs(cross) < 0.05:
        return None
    gap = q - p
    return p + u * ((gap[0] * v[1] - gap[1] * v[0]) / cross)


def fillet(start: Float, corner: Float, end: Float, radius: float) -> Float:
    """Start, arc of `radius` (smaller where it does not fit) in place of the corner, end; arc points 0.5 m apart."""
    inward, outward = corner - start, end - corner
    room_in, room_out = float(np.hypot(*inward)), float(np.hypot(*outward))
    u, v = inward / room_in, outward / room_out
    turn = float(np.arctan2(u[0] * v[1] - u[1] * v[0], u @ v))
    setback = min(radius * abs(np.tan(turn / 2)), room_in, room_out)
    radius = setback / abs(np.tan(turn / 2))
    side = np.sign(turn)
    centre = corner - u * setback + side * radius * np.array([-u[1], u[0]])
    first = np.arctan2(-side * u[0], side * u[1])
    count = max(int(abs(turn) * radius / 0.5), 4) + 1
    angles = first + np.linspace(0.0, turn, count)
    arc = centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    line = np.concatenate([start[None], arc, end[None]])
    keep = np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 1e-6])
    return line[keep]


def distance_to(line: Float, points: Float) -> Float:
    """Distance of points (P, 2) to the polyline, (P,)."""
    start, step = line[:-1], np.diff(line, axis=0)
    length2 = np.maximum((step**2).sum(axis=1), 1e-12)
    t = np.clip(((points[:, None] - start) * step).sum(axis=2) / length2, 0.0, 1.0)
    foot = start + t[..., None] * step
    return np.sqrt(((points[:, None] - foot) ** 2).sum(axis=2).min(axis=1))


def project(line: Float, along: Float, points: Float) -> tuple[Float, Float]:
    """Arc length and signed distance (left positive) of points (P, 2) to the polyline."""
    start, step = line[:-1], np.diff(line, axis=0)
    length2 = np.maximum((step**2).sum(axis=1), 1e-12)
    t = np.clip(((points[:, None] - start) * step).sum(axis=2) / length2, 0.0, 1.0)
    gap = points[:, None] - (start + t[..., None] * step)
    best = (gap**2).sum(axis=2).argmin(axis=1)
    rows = np.arange(len(points))
    s = along[best] + t[rows, best] * (along[best + 1] - along[best])
    gap, direction = gap[rows, best], step[best]
    cross = direction[:, 0] * gap[:, 1] - direction[:, 1] * gap[:, 0]
    return s, np.sign(cross) * np.hypot(gap[:, 0], gap[:, 1])

"""LiDAR sweeps of a snapshot."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from navforge.town.sensors.cameras import Moment
from navforge.town.sensors.ground import SOIL_INTENSITY
from navforge.town.sensors.kernels import Solids, aim, distance_to
from navforge.town.sensors.mesh import Surface
from navforge.town.sensors.rig import Rig, lidar_rays
from navforge.town.sensors.scenery import Scenery

_GLASS = int(Surface.GLASS)
_GLASS_RETURN = 0.12
_GRAZING = 0.02
"""Ground returns vanish where the beam meets it flatter than this (sine)."""


def cast_points(scenery: Scenery, moment: Moment, rig: Rig) -> NDArray[np.float32]:
    """One turn of the LiDAR: points (P, 6), columns `data.lidar.LidarColumn`, LiDAR (= ego) frame."""
    snapshot = moment.snapshot
    heading = float(snapshot.ego_pose[2])
    rays, rings = lidar_rays(rig)
    directions, far = aim(rays, heading, rig.lidar_z, rig.lidar_range)
    offset = np.array([math.cos(heading), math.sin(heading)]) * rig.lidar_x
    origin = np.array([*(snapshot.ego_pose[:2] + offset), rig.lidar_z])
    origins = np.tile(origin.astype(np.float32), (len(rays), 1))
    fixed_hit = scenery.scene.first_hit(origins, directions, far)
    moving_hit = moment.scene.first_hit(origins, directions, far)
    ranges, intensity = _returns(
        origin,
        directions,
        fixed_hit,
        moving_hit,
        scenery.scene.size,
        moment.solids,
        scenery.ground.soil,
        scenery.ground.frame,
        SOIL_INTENSITY,
    )
    random = np.random.default_rng([snapshot.time_us, 0x11DA])
    ranges = ranges + random.normal(0.0, rig.lidar_noise, len(ranges))
    kept = np.flatnonzero((ranges > 0.0) & (ranges < rig.lidar_range))
    points = np.zeros((len(kept), 6), dtype=np.float32)
    points[:, :3] = rays[kept] * ranges[kept, None] + np.array([rig.lidar_x, 0.0, rig.lidar_z])
    points[:, 3] = intensity[kept]
    points[:, 4] = rings[kept]
    return points


@njit(cache=True)
def _surface_return(
    plane: np.ndarray, surface: np.ndarray, color: np.ndarray, hit: int, d: tuple[float, float, float]
) -> float:
    """Intensity, 0-255, of a return from triangle `hit` along the unit direction `d`."""
    facing = abs(plane[hit, 0] * d[0] + plane[hit, 1] * d[1] + plane[hit, 2] * d[2])
    bright = (color[hit, 0] + color[hit, 1] + color[hit, 2]) / 3.0
    if surface[hit] == _GLASS:
        bright = _GLASS_RETURN
    return min(255.0, 15.0 + 170.0 * bright * (0.3 + 0.7 * facing))


@njit(cache=True)
def _returns(
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

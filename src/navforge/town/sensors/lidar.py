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
    ground = scenery.ground
    ranges, intensity = _returns(
        origin,
        directions,
        fixed_hit,
        moving_hit,
        scenery.solids,
        moment.solids,
        ground.soil,
        ground.corner,
        ground.resolution,
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
def _returns(
    origin: np.ndarray,
    directions: np.ndarray,
    fixed_hit: np.ndarray,
    moving_hit: np.ndarray,
    fixed: Solids,
    moving: Solids,
    soil: np.ndarray,
    corner: np.ndarray,
    resolution: float,
    soil_intensity: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Range (R,) in m of every unit ray's return, inf for none, and its intensity (R,), 0-255."""
    count = len(directions)
    ranges = np.full(count, np.inf)
    intensity = np.zeros(count, np.float32)
    for p in range(count):
        d = directions[p]
        if d[2] < -_GRAZING:
            t = -origin[2] / d[2]
            column = int((origin[0] + t * d[0] - corner[0]) / resolution)
            row = int((origin[1] + t * d[1] - corner[1]) / resolution)
            inside = 0 <= row < soil.shape[0] and 0 <= column < soil.shape[1]
            ranges[p] = t
            intensity[p] = soil_intensity[soil[row, column] if inside else 0]
        for solids, hit in ((fixed, fixed_hit[p]), (moving, moving_hit[p])):
            if hit >= 0:
                t = distance_to(hit, solids, origin[0], origin[1], origin[2], d)
                if t < ranges[p]:
                    normal = solids.normal[hit]
                    facing = abs(normal[0] * d[0] + normal[1] * d[1] + normal[2] * d[2])
                    color = solids.color[hit]
                    bright = (color[0] + color[1] + color[2]) / 3.0
                    if solids.surface[hit] == _GLASS:
                        bright = _GLASS_RETURN
                    ranges[p] = t
                    intensity[p] = min(255.0, 15.0 + 170.0 * bright * (0.3 + 0.7 * facing))
    return ranges, intensity

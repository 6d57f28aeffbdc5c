"""LiDAR sweeps of a snapshot."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from navforge.town.sensors.cameras import Moment
from navforge.town.sensors.ground import SOIL_INTENSITY
from navforge.town.sensors.kernels import aim, lidar_returns
from navforge.town.sensors.rig import Rig, lidar_rays
from navforge.town.sensors.scenery import Scenery


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
    ranges, intensity = lidar_returns(
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

"""Cameras and LiDAR of the town: every ray is cast into the same geometry.

`scenery = build_scenery(town_map)` once per process, `look_of(seed)` once per log, then `render(scenery, snapshot, rig,
look)` per frame; `calibration(size)` is what the log says about the cameras.
"""

from navforge.town.sensors.lighting import Look, look_of
from navforge.town.sensors.render import SensorFiles, cast_lidar, render, render_cameras
from navforge.town.sensors.rig import CAMERA_NAMES, Rig, calibration, lidar_to_ego
from navforge.town.sensors.scenery import Scenery, build_scenery

__all__ = [
    "CAMERA_NAMES",
    "Look",
    "Rig",
    "Scenery",
    "SensorFiles",
    "build_scenery",
    "calibration",
    "cast_lidar",
    "lidar_to_ego",
    "look_of",
    "render",
    "render_cameras",
]

"""The town's sensors in one call per frame: camera JPEGs and the LiDAR sweep file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from navforge.data.lidar import encode_lidar
from navforge.town.sensors.cameras import Moment, prepare, render_views, to_jpeg
from navforge.town.sensors.lidar import cast_points
from navforge.town.sensors.lighting import Look
from navforge.town.sensors.rig import CAMERA_NAMES, Rig
from navforge.town.sensors.scenery import Scenery
from navforge.town.world import Snapshot


@dataclass(frozen=True, slots=True)
class SensorFiles:
    """Contents of one frame's sensor files."""

    cameras: dict[str, bytes]
    """JPEG file per camera name."""
    lidar: bytes
    """`.pcd` file in OpenScene's layout."""


def render(
    scenery: Scenery, snapshot: Snapshot, rig: Rig, look: Look, names: Sequence[str] = CAMERA_NAMES
) -> SensorFiles:
    """All sensor files of one frame; the same arguments give the same bytes."""
    moment = prepare(scenery, snapshot)
    return SensorFiles(_jpegs(scenery, moment, rig, look, names), encode_lidar(cast_points(scenery, moment, rig)))


def render_cameras(
    scenery: Scenery, snapshot: Snapshot, rig: Rig, look: Look, names: Sequence[str] = CAMERA_NAMES
) -> dict[str, bytes]:
    """JPEG file of every named camera."""
    return _jpegs(scenery, prepare(scenery, snapshot), rig, look, names)


def cast_lidar(scenery: Scenery, snapshot: Snapshot, rig: Rig) -> bytes:
    """The merged LiDAR sweep as a `.pcd` file."""
    return encode_lidar(cast_points(scenery, prepare(scenery, snapshot), rig))


def _jpegs(scenery: Scenery, moment: Moment, rig: Rig, look: Look, names: Sequence[str]) -> dict[str, bytes]:
    views = render_views(scenery, moment, rig, look, names)
    return {name: to_jpeg(view.rgb, rig.jpeg_quality) for name, view in views.items()}

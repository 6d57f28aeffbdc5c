"""Camera images of a snapshot: the first thing every pixel's ray meets, shaded."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from navforge.town.sensors.actors import actors_mesh
from navforge.town.sensors.kernels import GroundImage, Solids, aim, shade
from navforge.town.sensors.lighting import Look
from navforge.town.sensors.rays import RayScene
from navforge.town.sensors.rig import (
    CAMERA_NAMES,
    OFFICIAL_FOCAL_PX,
    OFFICIAL_SIZE,
    Rig,
    camera_rays,
    camera_to_ego,
    intrinsics,
)
from navforge.town.sensors.scenery import Scenery, join_solids, to_solids
from navforge.town.sensors.shadows import SHADOW_RESOLUTION_M, draw_shadows
from navforge.town.world import ActorBox, Snapshot

SIGHT_M = 260.0
ACTOR_SIGHT_M = 140.0
NEAR_M = 0.05


@dataclass(frozen=True, slots=True)
class View:
    """One camera's image with what it shows."""

    rgb: NDArray[np.uint8]
    """(height, width, 3)"""
    owner: NDArray[np.int32]
    """(height, width) row of the actor shown, or one of the `_OWNER` constants of `kernels`."""
    depth: NDArray[np.float32]
    """(height, width) m along the optical axis; inf for sky."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A snapshot made ready for rays; shared by all cameras and the LiDAR."""

    snapshot: Snapshot
    scene: RayScene
    """The actors near ego."""
    solids: Solids
    """The scenery's triangles, then the actors'."""


def prepare(scenery: Scenery, snapshot: Snapshot) -> Moment:
    """Meshes and ray index of the actors near ego."""
    x, y = float(snapshot.ego_pose[0]), float(snapshot.ego_pose[1])
    mesh = actors_mesh(snapshot.actors, (x, y), ACTOR_SIGHT_M)
    return Moment(snapshot, RayScene(mesh.triangles), join_solids(scenery.solids, to_solids(mesh)))


def render_views(
    scenery: Scenery, moment: Moment, rig: Rig, look: Look, names: Sequence[str] = CAMERA_NAMES
) -> dict[str, View]:
    """Images of the named cameras with owner and depth of every pixel."""
    snapshot = moment.snapshot
    x, y, heading = snapshot.ego_pose.tolist()
    shadow, shadow_corner = draw_shadows(scenery, snapshot.actors, (x, y), look)
    plan = scenery.ground
    shadow_frame = np.array([*shadow_corner, SHADOW_RESOLUTION_M])
    ground = GroundImage(plan.texels, plan.levels, plan.frame, shadow, shadow_frame)
    light = _light(look)
    lamps = scenery.lamp_colors(snapshot)
    views = {}
    for name in names:
        _, mount = camera_to_ego(name)
        origin = _to_town(mount, snapshot.ego_pose)
        directions, far = aim(camera_rays(name, rig.size), heading, float(origin[2]), SIGHT_M)
        origins = np.tile(origin.astype(np.float32), (len(directions), 1))
        fixed_hit = scenery.scene.first_hit(origins, directions, far)
        moving_hit = np.full(len(directions), -1, dtype=np.int32)
        there = _actor_pixels(name, rig, snapshot)
        moving_hit[there] = moment.scene.first_hit(origins[there], directions[there], far[there])
        pixel = OFFICIAL_SIZE[0] / (OFFICIAL_FOCAL_PX * rig.width)
        rgb, owner, depth = shade(
            origin, directions, fixed_hit, moving_hit, scenery.scene.size, moment.solids, lamps, ground, light, pixel
        )
        shape = (rig.height, rig.width)
        views[name] = View(rgb.reshape(*shape, 3), owner.reshape(shape), depth.reshape(shape))
    return views


def _light(look: Look) -> NDArray[np.float64]:
    """The light table (6, 3), rows `kernels.LightRow`."""
    visibility = (look.visibility, 0.0, 0.0)
    rows = (look.sun_direction, look.sun_color, look.ambient_color, look.zenith, look.horizon, visibility)
    return np.array(rows, dtype=np.float64)


def to_jpeg(rgb: NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG file; colour at full resolution, because a far traffic light is a few pixels."""
    target = io.BytesIO()
    Image.fromarray(rgb).save(target, "JPEG", quality=quality, subsampling=0)
    return target.getvalue()


def _to_town(point: NDArray[np.float64], ego: NDArray[np.float64]) -> NDArray[np.float64]:
    cos, sin = math.cos(ego[2]), math.sin(ego[2])
    return np.array([ego[0] + cos * point[0] - sin * point[1], ego[1] + sin * point[0] + cos * point[1], point[2]])


_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1])


def _actor_pixels(name: str, rig: Rig, snapshot: Snapshot) -> NDArray[np.int64]:
    """Pixels (flat indices) inside the image rectangle of any near actor's box; no other pixel can show an actor."""
    boxes = snapshot.actors.box
    ego = snapshot.ego_pose
    boxes = boxes[np.hypot(boxes[:, 0] - ego[0], boxes[:, 1] - ego[1]) < ACTOR_SIGHT_M]
    mask = np.zeros((rig.height, rig.width), dtype=bool)
    if len(boxes):
        camera = _box_corners_in_camera(boxes, ego, name)
        matrix = intrinsics(rig.size)
        start, end = camera[:, _EDGES[:, 0]], camera[:, _EDGES[:, 1]]
        for row in range(len(boxes)):
            rectangle = _rectangle(start[row], end[row], matrix, rig.size)
            if rectangle is not None:
                left, right, top, bottom = rectangle
                mask[top:bottom, left:right] = True
    return np.flatnonzero(mask)


def _box_corners_in_camera(boxes: NDArray[np.float64], ego: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Corners (A, 8, 3) of boxes (A, 7), town frame, in the frame of a camera."""
    cos, sin = np.cos(boxes[:, ActorBox.HEADING]), np.sin(boxes[:, ActorBox.HEADING])
    local = _CORNERS[None] * boxes[:, None, [ActorBox.LENGTH, ActorBox.WIDTH, ActorBox.HEIGHT]]
    x = boxes[:, None, ActorBox.X] + cos[:, None] * local[..., 0] - sin[:, None] * local[..., 1] - ego[0]
    y = boxes[:, None, ActorBox.Y] + sin[:, None] * local[..., 0] + cos[:, None] * local[..., 1] - ego[1]
    z = boxes[:, None, ActorBox.Z] + local[..., 2]
    ego_cos, ego_sin = math.cos(ego[2]), math.sin(ego[2])
    in_ego = np.stack([ego_cos * x + ego_sin * y, ego_cos * y - ego_sin * x, z], axis=-1)
    rotation, translation = camera_to_ego(name)
    return (in_ego - translation) @ rotation


def _rectangle(
    start: NDArray[np.float64], end: NDArray[np.float64], matrix: NDArray[np.float64], size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Image rectangle (left, right, top, bottom) of a box given by its edges (12, 3), cut at the near plane."""
    ahead = (start[:, 2] > NEAR_M) | (end[:, 2] > NEAR_M)
    if not ahead.any():
        return None
    start, end = start[ahead], end[ahead]
    points = []
    for a, b in ((start, end), (end, start)):
        share = np.clip((NEAR_M - a[:, 2]) / np.where(a[:, 2] == b[:, 2], 1.0, b[:, 2] - a[:, 2]), 0.0, 1.0)
        points.append(np.where(a[:, 2:] < NEAR_M, a + share[:, None] * (b - a), a))
    points = np.concatenate(points)
    pixels = points[:, :2] / np.maximum(points[:, 2:], NEAR_M) * matrix[0, 0] + matrix[:2, 2]
    low, high = np.floor(pixels.min(axis=0)) - 1, np.ceil(pixels.max(axis=0)) + 1
    left, right = int(np.clip(low[0], 0, size[0])), int(np.clip(high[0], 0, size[0]))
    top, bottom = int(np.clip(low[1], 0, size[1])), int(np.clip(high[1], 0, size[1]))
    return (left, right, top, bottom) if left < right and top < bottom else None

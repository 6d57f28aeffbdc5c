"""Other road users of a cached scene as the kernels read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import Pose
from navforge.geometry.lanes import WIDTH
from navforge.geometry.se2 import points_to_local
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.metric_cache.scene import ObjectTracks, ObjectType
from navforge.scoring.arrays import MAX_TRAFFIC_STEPS, WINDOW_STEPS, TrafficArrays
from navforge.scoring.kernels_traffic import EGO_RADIUS_M
from navforge.scoring.prepare_polygons import MARGIN_M, any_of

Float = NDArray[np.float64]

AGENT_TYPES = (ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.BICYCLE)
STOPPED_OBJECT_SPEED_MPS = 0.05


def prepare_traffic(objects: ObjectTracks, origin: Float, *, drop_overlapping: bool) -> TrafficArrays:
    """Tracks of objects in the frame of `origin`.

    Raises:
        DataError: more steps than a time mask holds.
    """
    steps = objects.valid.shape[1]
    if steps > MAX_TRAFFIC_STEPS:
        raise DataError(f"objects have {steps} steps; at most {MAX_TRAFFIC_STEPS} can be scored")
    half = 0.5 * objects.extent.astype(np.float64).reshape(-1, 2)
    xy = points_to_local(origin, objects.pose[..., :2])
    heading = objects.pose[..., Pose.HEADING] - origin[Pose.HEADING]
    keep = objects.valid.any(axis=1)
    if drop_overlapping:
        keep &= ~(objects.valid[:, 0] & _meets_ego(xy[:, 0], heading[:, 0], half))
    kept = np.flatnonzero(keep)
    first = xy[kept, objects.valid[kept].argmax(axis=1)]
    kept = kept[np.argsort(np.hypot(first[:, 0], first[:, 1]), kind="stable")]
    half, valid = half[kept], objects.valid[kept]
    agent = any_of(objects.type[kept], AGENT_TYPES)
    speed = np.hypot(objects.first_velocity[kept, 0], objects.first_velocity[kept, 1])
    track = np.zeros((len(kept), steps, 4))
    track[..., :2] = xy[kept]
    track[..., 2] = np.cos(heading[kept])
    track[..., 3] = np.sin(heading[kept])
    track[~valid] = 0.0
    radius = np.hypot(half[:, 0], half[:, 1]) + EGO_RADIUS_M + MARGIN_M
    windows = _windows(track, valid, half)
    return TrafficArrays(
        bounds=_groups(windows),
        windows=windows,
        track=track,
        present=(valid.astype(np.int64) << np.arange(steps)).sum(axis=1),
        half_length=np.ascontiguousarray(half[:, 0]),
        half_width=np.ascontiguousarray(half[:, 1]),
        reach_squared=radius * radius,
        is_agent=agent,
        is_stopped=~agent | (speed <= STOPPED_OBJECT_SPEED_MPS),
        object=kept.astype(np.int32),
    )


def _windows(track: Float, valid: NDArray[np.bool_], half: Float) -> Float:
    """(O, 4, W) bounds of the boxes by windows of steps, of nothing where there is none."""
    count, steps, _ = track.shape
    windows = -(-steps // (WINDOW_STEPS * WIDTH)) * WIDTH
    along, across = np.abs(track[..., 2]), np.abs(track[..., 3])
    reach = np.stack(
        [
            half[:, :1] * along + half[:, 1:] * across + MARGIN_M,
            half[:, :1] * across + half[:, 1:] * along + MARGIN_M,
        ],
        axis=-1,
    )
    bounds = np.full((count, windows * WINDOW_STEPS, 4), np.inf)
    bounds[:, :steps, :2][valid] = (track[..., :2] - reach)[valid]
    bounds[:, :steps, 2:][valid] = (-track[..., :2] - reach)[valid]
    lowest = bounds.reshape(count, windows, WINDOW_STEPS, 4).min(axis=2)
    lowest[..., 2:] *= -1.0
    return np.ascontiguousarray(lowest.transpose(0, 2, 1))


def _groups(windows: Float) -> Float:
    """(G, 4, 8) bounds over all steps."""
    count = len(windows)
    groups = -(-count // WIDTH)
    bounds = np.full((4, groups * WIDTH), np.inf)
    bounds[2:] = -np.inf
    bounds[:2, :count] = windows[:, :2].min(axis=2).T
    bounds[2:, :count] = windows[:, 2:].max(axis=2).T
    return np.ascontiguousarray(bounds.reshape(4, groups, WIDTH).transpose(1, 0, 2))


def _meets_ego(xy: Float, heading: Float, half: Float) -> NDArray[np.bool_]:
    """(O,) whether boxes meet the ego's box at the origin of the frame; separating axes, touching included."""
    dx = xy[:, 0] - REAR_AXLE_TO_CENTER_M
    dy = xy[:, 1]
    c, s = np.cos(heading), np.sin(heading)
    length, width = half[:, 0], half[:, 1]
    own_length, own_width = 0.5 * EGO_LENGTH_M, 0.5 * EGO_WIDTH_M
    along, across = np.abs(c), np.abs(s)
    return (
        (np.abs(dx) <= own_length + length * along + width * across)
        & (np.abs(dy) <= own_width + length * across + width * along)
        & (np.abs(dx * c + dy * s) <= length + own_length * along + own_width * across)
        & (np.abs(dy * c - dx * s) <= width + own_length * across + own_width * along)
    )

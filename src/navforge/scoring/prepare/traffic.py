"""Other road users of a cached scene as the kernels read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.lanes import WIDTH
from navforge.geometry.writable import writable
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.tracks import ObjectTracks
from navforge.scoring.arrays import MAX_TRAFFIC_STEPS, WINDOW_STEPS, TrafficArrays
from navforge.scoring.kernels.prepare import choose_objects, fill_traffic, turn_headings
from navforge.scoring.kernels.traffic import EGO_RADIUS_M
from navforge.scoring.prepare.polygons import MARGIN_M, frame_of

Float = NDArray[np.float64]

AGENT_TYPES = (ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.BICYCLE)
STOPPED_OBJECT_SPEED_MPS = 0.05
"""m/s; `stopped_speed_threshold` (5e-02) of `get_collision_type`."""
_IS_AGENT = np.array([kind in AGENT_TYPES for kind in ObjectType])


def prepare_traffic(objects: ObjectTracks, origin: Float, *, drop_overlapping: bool) -> TrafficArrays:
    """Tracks of objects in the frame of `origin`.

    Raises:
        DataError: more steps than a time mask holds.
    """
    steps = objects.valid.shape[1]
    if steps > MAX_TRAFFIC_STEPS:
        raise DataError(f"objects have {steps} steps; at most {MAX_TRAFFIC_STEPS} can be scored")
    pose = writable(objects.pose)
    valid = writable(objects.valid, np.dtype(np.bool_))
    extent = writable(objects.extent).reshape(-1, 2)
    frame = frame_of(origin)
    heading = np.empty(valid.shape)
    turn_headings(pose, frame, heading)
    cos, sin = np.cos(heading), np.sin(heading)
    kept, distance = np.empty(len(valid), dtype=np.int32), np.empty(len(valid))
    count = choose_objects(pose, valid, cos, sin, extent, frame, drop_overlapping, kept, distance)
    kept = kept[:count][np.argsort(distance[:count], kind="stable")]
    half = 0.5 * extent[kept]
    agent = _IS_AGENT[objects.type[kept]]
    speed = np.hypot(*objects.first_velocity[kept].T)
    radius = np.hypot(*half.T) + EGO_RADIUS_M + MARGIN_M
    windows = -(-steps // (WINDOW_STEPS * WIDTH)) * WIDTH
    traffic = TrafficArrays(
        bounds=np.empty((-(-count // WIDTH), 4, WIDTH)),
        windows=np.empty((count, 4, windows)),
        track=np.empty((count, steps, 4)),
        present=np.empty(count, dtype=np.int64),
        half_length=np.ascontiguousarray(half[:, 0]),
        half_width=np.ascontiguousarray(half[:, 1]),
        reach_squared=radius * radius,
        is_agent=agent,
        is_stopped=~agent | (speed <= STOPPED_OBJECT_SPEED_MPS),
        object=kept,
    )
    fill_traffic(pose, valid, cos, sin, frame, MARGIN_M, traffic)
    return traffic

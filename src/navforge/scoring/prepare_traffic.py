"""Other road users of a cached scene as the kernels read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import Pose
from navforge.geometry.se2 import points_to_local
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.metric_cache.scene import ObjectTracks, ObjectType
from navforge.scoring.arrays import TrafficArrays
from navforge.scoring.kernels_traffic import EGO_RADIUS_M
from navforge.scoring.prepare_polygons import MARGIN_M, any_of

Float = NDArray[np.float64]

AGENT_TYPES = (ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.BICYCLE)
STOPPED_OBJECT_SPEED_MPS = 0.05
STRIP_LOW_M = -32.0
STRIP_SIDE_M = 2.0
STRIP_COUNT = 64


def prepare_traffic(objects: ObjectTracks, origin: Float, *, drop_overlapping: bool) -> TrafficArrays:
    """Boxes of objects by step, in the frame of `origin`."""
    count, steps = objects.valid.shape
    half = 0.5 * objects.extent.astype(np.float64).reshape(count, 2)
    xy = points_to_local(origin, objects.pose[..., :2])
    heading = objects.pose[..., Pose.HEADING] - origin[Pose.HEADING]
    keep = np.ones(count, dtype=bool)
    if drop_overlapping and count:
        keep = ~(objects.valid[:, 0] & _meets_ego(xy[:, 0], heading[:, 0], half))
    step, obj = np.nonzero((objects.valid & keep[:, None]).T)
    order = np.lexsort((xy[obj, step, 0], step))
    step, obj = step[order], obj[order]
    agent = any_of(objects.type, AGENT_TYPES)
    speed = np.hypot(objects.first_velocity[:, 0], objects.first_velocity[:, 1])
    radius = np.hypot(half[:, 0], half[:, 1]) + EGO_RADIUS_M + MARGIN_M
    at_heading = heading[obj, step]
    return TrafficArrays(
        strip=_strips(step, xy[obj, step, 0], steps, float(radius.max(initial=0.0))),
        strip_low=STRIP_LOW_M,
        strip_scale=1.0 / STRIP_SIDE_M,
        x=np.ascontiguousarray(xy[obj, step, 0]),
        y=np.ascontiguousarray(xy[obj, step, 1]),
        cos=np.cos(at_heading),
        sin=np.sin(at_heading),
        half_length=np.ascontiguousarray(half[obj, 0]),
        half_width=np.ascontiguousarray(half[obj, 1]),
        reach_squared=(radius * radius)[obj],
        object=obj.astype(np.int32),
        is_agent=agent,
        is_stopped=~agent | (speed <= STOPPED_OBJECT_SPEED_MPS),
    )


def _strips(step: NDArray[np.int64], x: Float, steps: int, reach: float) -> NDArray[np.int32]:
    """(steps, strips, 2) range of the boxes, ordered by step and x, within `reach` of each strip."""
    edges = STRIP_LOW_M + STRIP_SIDE_M * np.arange(STRIP_COUNT + 1)
    low, high = edges[:-1] - reach, edges[1:] + reach
    low[0], high[-1] = -np.inf, np.inf
    ranges = np.empty((steps, STRIP_COUNT, 2), dtype=np.int32)
    start = np.searchsorted(step, np.arange(steps + 1))
    for t in range(steps):
        own = x[start[t] : start[t + 1]]
        ranges[t, :, 0] = start[t] + np.searchsorted(own, low)
        ranges[t, :, 1] = start[t] + np.searchsorted(own, high, side="right")
    return ranges


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

"""What PDM-Closed believes will happen: objects at constant velocity, lights as they are now.

Follows `PDMObservation.update` and `PDMObjectManager` of the devkit (same in v1.1 and v2.2). The devkit keeps its list
of objects that overlap the ego from one scene to the next, in the order in which a worker happens to get the scenes;
here every scene starts with an empty list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.ego_states import box_corners
from navforge.data.observed_objects import AGENTS
from navforge.geometry.columns import Pose
from navforge.metric_cache.objects import FrameObjects, ObjectType
from navforge.metric_cache.scene import REFERENCE_STEPS
from navforge.metric_cache.tracks import ObjectTracks

Float = NDArray[np.float64]

_RADIUS_M = 100.0
_STEPS_PER_SAMPLE = 2
_SAMPLES = REFERENCE_STEPS // _STEPS_PER_SAMPLE + 1
_STEP_S = 0.1
_MOST_STATIC = 50
_MOST_OF_CLASS = {ObjectType.VEHICLE: 50, ObjectType.PEDESTRIAN: 25, ObjectType.BICYCLE: 10}
_NODE_CAPACITY = 10


@dataclass(frozen=True)
class Meeting:
    """Obstacles that touch areas at samples of a forecast."""

    sample: NDArray[np.int64]
    """(K,)"""
    area: NDArray[np.int64]
    """(K,) number of the area."""
    obstacle: NDArray[np.int64]
    """(K,) object, or number of objects + red light."""
    polygon: NDArray[np.object_]
    """(K,) the obstacle at that sample."""


@dataclass(frozen=True)
class Forecast:
    """Obstacles around the ego, sampled every 0.2 s: the nearest objects, then red lights.

    Attributes:
        objects: the nearest objects of the current frame: static ones, then vehicles, pedestrians, bicycles, each
            class by distance.
        drift: (O, 2) m/s along the heading, 0 for static objects.
        lights: (L,) polygons of the lane connectors that are red now.
        ego_box: footprint of the ego now.
    """

    objects: FrameObjects
    drift: Float
    lights: NDArray[np.object_]
    ego_box: shapely.Polygon

    @cached_property
    def _corners(self) -> Float:
        """(sample, O, 4, 2) corners of the objects."""
        corners = box_corners(self.objects.pose, self.objects.extent[:, 0], self.objects.extent[:, 1])
        delay_s = np.arange(_SAMPLES) * _STEPS_PER_SAMPLE * _STEP_S
        return corners + delay_s[:, None, None, None] * self.drift[:, None]

    def polygons(self, sample: NDArray[np.int64], obstacle: NDArray[np.int64]) -> NDArray[np.object_]:
        """(N,) polygons of obstacles at samples."""
        is_object = obstacle < len(self.drift)
        out = np.empty(len(obstacle), dtype=object)
        out[is_object] = shapely.polygons(self._corners[sample[is_object], obstacle[is_object]])
        out[~is_object] = self.lights[obstacle[~is_object] - len(self.drift)]
        return out

    @cached_property
    def collided(self) -> NDArray[np.bool_]:
        """(O + L,) obstacles that touch the ego now; of red lights only those that hold the ego entirely."""
        everything = np.arange(len(self.drift) + len(self.lights))
        now = self.polygons(np.zeros_like(everything), everything)
        touching = shapely.intersects(now, self.ego_box)
        is_light = everything >= len(self.drift)
        return touching & (~is_light | shapely.within(self.ego_box, now))

    @cached_property
    def _outlines(self) -> NDArray[np.object_]:
        """(sample, O + L) geometries with the bounds of the obstacles, all that a search tree looks at."""
        corners = self._corners
        outlines: Any = shapely.linestrings(np.stack([corners.min(axis=2), corners.max(axis=2)], axis=2))
        lights = np.empty((_SAMPLES, len(self.lights)), dtype=object)
        lights[:] = self.lights
        return np.concatenate([outlines, lights], axis=1)

    def meeting(self, samples: Iterable[int], areas: NDArray[np.object_]) -> Meeting:
        """Obstacles that touch areas, by sample, then by area, without the collided ones.

        Those of one sample and area come in the order of the devkit's search tree, which decides between equally near
        leaders.
        """
        meetings = []
        for sample in samples:
            area, obstacle = shapely.STRtree(self._outlines[sample], _NODE_CAPACITY).query(areas)
            meetings.append(np.stack([np.full(len(area), sample), area, obstacle]))
        near = np.concatenate(meetings, axis=1) if meetings else np.zeros((3, 0), np.int64)
        near = near[:, ~self.collided[near[2]]]
        polygons = self.polygons(near[0], near[2])
        touching = shapely.intersects(areas[near[1]], polygons)
        sample, area, obstacle = near[:, touching]
        return Meeting(sample, area, obstacle, polygons[touching])

    def at(self, step: int) -> int:
        """The sample that stands for a step of 0.1 s."""
        return step // _STEPS_PER_SAMPLE

    def tracks(self, steps: int) -> ObjectTracks:
        """The objects as tracks to score proposals with.

        Those that touch the ego now are left out, because neither collision nor TTC counts them.
        """
        kept = ~self.collided[: len(self.drift)]
        objects, drift = self.objects, self.drift[kept]
        delay_s = np.arange(steps) // _STEPS_PER_SAMPLE * _STEPS_PER_SAMPLE * _STEP_S
        pose = np.repeat(objects.pose[kept, None], steps, axis=1)
        pose[..., :2] += delay_s[None, :, None] * drift[:, None]
        return ObjectTracks(
            token=objects.token[kept],
            type=objects.type[kept],
            extent=objects.extent[kept],
            pose=pose,
            velocity=np.repeat(objects.velocity[kept, None], steps, axis=1),
            valid=np.ones(pose.shape[:2], np.bool_),
            first_heading=objects.pose[kept, Pose.HEADING],
            first_velocity=objects.velocity[kept],
        )


def forecast(
    objects: FrameObjects, ego_center: Float, ego_box: shapely.Polygon, lights: NDArray[np.object_]
) -> Forecast:
    """Forecast of one scene.

    Args:
        objects: all objects of the current frame.
        ego_center: (3,) or (2,) centre of the ego box.
        ego_box: the ego's footprint.
        lights: (L,) polygons of the lane connectors of the corrected route that are red now.

    Raises:
        DataError: the velocity of an agent in reach is not finite (the devkit fails then, too).
    """
    distance = np.hypot(objects.pose[:, 0] - ego_center[0], objects.pose[:, 1] - ego_center[1])
    in_reach = distance <= _RADIUS_M
    is_agent = np.isin(objects.type, AGENTS)
    groups = [(in_reach & ~is_agent, _MOST_STATIC)]
    groups += [(in_reach & (objects.type == kind), most) for kind, most in _MOST_OF_CLASS.items()]
    chosen = []
    for mask, most in groups:
        rows = np.flatnonzero(mask)
        chosen.append(rows[np.argsort(np.sqrt(_square_distance(objects.pose[rows], ego_center)), kind="stable")][:most])
    kept = np.concatenate(chosen)
    near = objects[kept]
    bad = np.flatnonzero(~np.isfinite(near.velocity).all(axis=1))
    if len(bad):
        raise DataError(f"the velocity of track {near.token[bad[0]]} in the current frame is not finite")
    return Forecast(near, _drift(near), lights, ego_box)


def _square_distance(poses: Float, point: Float) -> Float:
    return ((poses[:, :2] - point[:2]) ** 2).sum(axis=-1)


def _drift(objects: FrameObjects) -> Float:
    """Speed along the heading, or against it where the velocity points backwards."""
    heading = objects.pose[:, Pose.HEADING]
    vx, vy = objects.velocity.T
    turn = heading - np.arctan2(vy, vx)
    forward = np.abs(np.arctan2(np.sin(turn), np.cos(turn))) < np.pi / 2
    course = np.where(forward, heading, np.arctan2(np.sin(heading + np.pi), np.cos(heading + np.pi)))
    speed = np.hypot(vx, vy)
    return np.stack([np.cos(course) * speed, np.sin(course) * speed], axis=-1)

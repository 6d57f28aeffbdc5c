"""Objects of 2 Hz key frames: those of a frame, and the sightings of each object over several (`ObjectFrames`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.compiled import kernel
from navforge.metric_cache.ragged import slices

Float = NDArray[np.float64]

_NEAR_MARGIN_M = 0.1


class ObjectType(IntEnum):
    """Object classes of OpenScene; the first three are agents (they move), the others static."""

    VEHICLE = 0
    PEDESTRIAN = 1
    BICYCLE = 2
    TRAFFIC_CONE = 3
    BARRIER = 4
    CZONE_SIGN = 5
    GENERIC_OBJECT = 6


@dataclass(frozen=True, slots=True)
class FrameObjects:
    """Objects of one frame in the global frame, sorted by class, then in log order (as nuPlan sorts them)."""

    token: NDArray[np.str_]
    """(O,) track tokens."""
    type: NDArray[np.uint8]
    """(O,) `ObjectType`."""
    extent: Float
    """(O, 2) length, width."""
    pose: Float
    """(O, 3) box centre x, y, heading in [-pi, pi]."""
    velocity: Float
    """(O, 2) vx, vy; 0 for static classes."""

    def __getitem__(self, rows: NDArray[Any]) -> FrameObjects:
        """The objects of some rows (indices or mask)."""
        return FrameObjects(self.token[rows], self.type[rows], self.extent[rows], self.pose[rows], self.velocity[rows])


@dataclass(frozen=True, slots=True)
class ObjectFrames:
    """Sightings of objects in the current and the future key frames, sorted by object, then time."""

    token: NDArray[np.str_]
    """(O,) track token, in order of first sighting (within a frame by class)."""
    type: NDArray[np.uint8]
    """(O,) `ObjectType` of the first sighting."""
    extent: Float
    """(O, 2) length, width of the first sighting."""
    start: NDArray[np.int64]
    """(O + 1,) object o has sightings `start[o]:start[o + 1]`."""
    frame: NDArray[np.uint8]
    """(N,) key frame of a sighting; 0 is the current frame, one is 0.5 s later than the one before."""
    pose: Float
    """(N, 3) box centre x, y, heading in [-pi, pi], global frame."""
    velocity: Float
    """(N, 2) vx, vy in the global frame; 0 for static classes."""
    frames: int
    """Number of key frames there are."""

    def near(self, bounds: Float) -> ObjectFrames:
        """Objects whose box may meet bounds at some time, between sightings included.

        Args:
            bounds: (4,) low x, low y, high x, high y, global frame.
        """
        rows = _near(self.start, self.pose, self.extent, bounds)
        _, sighting = slices(self.start, rows)
        return ObjectFrames(
            token=self.token[rows],
            type=self.type[rows],
            extent=self.extent[rows],
            start=np.cumsum(np.append(0, self.start[rows + 1] - self.start[rows])),
            frame=self.frame[sighting],
            pose=self.pose[sighting],
            velocity=self.velocity[sighting],
            frames=self.frames,
        )


def sightings(frames: Sequence[FrameObjects]) -> ObjectFrames:
    """Objects of the current and the future key frames.

    Args:
        frames: the current frame first, then every 0.5 s.
    """
    names = np.concatenate([frame.token for frame in frames])
    token, track = np.unique(names, return_inverse=True)
    return grouped(
        token=token,
        track=track,
        number=np.repeat(np.arange(len(frames)), [len(frame.token) for frame in frames]),
        rows=np.arange(len(names)),
        table=FrameObjects(
            token=names,
            type=np.concatenate([frame.type for frame in frames]),
            extent=np.concatenate([frame.extent for frame in frames]),
            pose=np.concatenate([frame.pose for frame in frames]),
            velocity=np.concatenate([frame.velocity for frame in frames]),
        ),
        frames=len(frames),
    )


def grouped(
    *, token: NDArray[Any], track: NDArray[Any], number: NDArray[Any], rows: NDArray[Any], table: FrameObjects,
    frames: int,
) -> ObjectFrames:  # fmt: skip
    """Sightings by object.

    Args:
        token: (K,) token of each track that may occur, text or bytes.
        track: (N,) track of each sighting, in time order.
        number: (N,) its key frame.
        rows: (N,) its row in `table`.
        table: where sightings are described; its tokens are not read.
        frames: number of key frames.
    """
    first, order, start = _group(track, len(token))
    seen_first, ordered = rows[first], rows[order]
    return ObjectFrames(
        token=token[track[first]].astype(np.str_, copy=False),
        type=table.type[seen_first],
        extent=table.extent[seen_first],
        start=start,
        frame=number[order].astype(np.uint8, copy=False),
        pose=table.pose[ordered],
        velocity=table.velocity[ordered],
        frames=frames,
    )


@kernel(allocates=True)
def _group(track, count):
    """First sighting of each object in order of appearance, sightings by object, and where each object's start."""
    rank = np.full(count, -1, np.int64)
    first = np.empty(min(count, len(track)), np.int64)
    lengths = np.zeros(len(first) + 1, np.int64)
    objects = 0
    for i in range(len(track)):
        if rank[track[i]] < 0:
            rank[track[i]] = objects
            first[objects] = i
            objects += 1
        lengths[rank[track[i]] + 1] += 1
    start = np.cumsum(lengths[: objects + 1])
    cursor = start.copy()
    order = np.empty(len(track), np.int64)
    for i in range(len(track)):
        o = rank[track[i]]
        order[cursor[o]] = i
        cursor[o] += 1
    return first[:objects], order, start


@kernel(allocates=True)
def _near(start, pose, extent, bounds):
    """Objects that are, with their size, not beyond one and the same side of `bounds` in all sightings."""
    rows = np.empty(len(start) - 1, np.int64)
    count = 0
    for o in range(len(rows)):
        radius = 0.5 * (extent[o, 0] + extent[o, 1]) + _NEAR_MARGIN_M
        left = below = right = above = True
        for i in range(start[o], start[o + 1]):
            left &= pose[i, 0] + radius < bounds[0]
            below &= pose[i, 1] + radius < bounds[1]
            right &= pose[i, 0] - radius > bounds[2]
            above &= pose[i, 1] - radius > bounds[3]
        if not (left or below or right or above):
            rows[count] = o
            count += 1
    return rows[:count]

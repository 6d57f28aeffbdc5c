"""Crowded scenes for the kernels of traffic and lights, and the devkit's order of events spelt out, one at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from navforge.geometry.kernels import boxes_overlap
from navforge.geometry.se2 import wrap_angle
from navforge.geometry.vehicle import REAR_AXLE_TO_CENTER_M
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.tracks import ObjectTracks
from navforge.scoring.arrays import AreaArrays, TrafficArrays
from navforge.scoring.batch.arrays import SceneArrays
from navforge.scoring.kernels.area import INTERSECTION, box_leaves_drivable, in_area, in_multiple_lanes
from navforge.scoring.kernels.lookup import SEEN_ROWS, look_one
from navforge.scoring.kernels.motion import (
    CENTER_X,
    CENTER_Y,
    COS,
    HALF_LENGTH,
    HALF_WIDTH,
    MOTION_ROWS,
    REAR_X,
    REAR_Y,
    SIN,
    SPEED,
)

EGO_STEPS = 41
LOOKS = (0, 3, 6, 9)


def motion_of(x: np.ndarray, y: np.ndarray, heading: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """(7, 41, N) motion from rear axles, headings and speeds (41, N)."""
    motion = np.empty((MOTION_ROWS, *x.shape))
    motion[REAR_X], motion[REAR_Y] = x, y
    motion[COS], motion[SIN] = np.cos(heading), np.sin(heading)
    motion[CENTER_X] = x + REAR_AXLE_TO_CENTER_M * motion[COS]
    motion[CENTER_Y] = y + REAR_AXLE_TO_CENTER_M * motion[SIN]
    motion[SPEED] = speed
    return motion


def random_motion(rng: np.random.Generator, count: int) -> np.ndarray:
    """(7, 41, N) drives of all kinds: standing, stopping, turning, reversing, fast."""
    t = np.arange(EGO_STEPS)[:, None] * 0.1
    speed = rng.choice([0.0, 3.0, 8.0, 15.0, 40.0], count) * rng.uniform(0.5, 1.0, count)
    speed = np.maximum(speed + rng.normal(0, 2.0, count) * t, 0.0)
    heading = rng.normal(0, 0.1, count) + rng.normal(0, 0.2, count) * t
    sign = np.where(rng.random(count) < 0.15, -1.0, 1.0)
    way = sign * speed * 0.1
    x = np.cumsum(way * np.cos(heading), axis=0)
    y = np.cumsum(way * np.sin(heading), axis=0)
    return motion_of(x, y, heading, np.abs(speed))


def random_tracks(rng: np.random.Generator, count: int, steps: int) -> ObjectTracks:
    """Objects around the ego; some appear or vanish, some have gaps, some no extent, some are far away or touch."""
    at = np.arange(steps) * 0.1
    kind = rng.integers(0, 7, count).astype(np.uint8)
    agent = kind <= ObjectType.BICYCLE
    velocity = np.where((agent & (rng.random(count) < 0.6))[:, None], rng.normal(0, 6, (count, 2)), 0.0)
    start = rng.uniform([-25, -12], [70, 12], (count, 2))
    far = rng.random(count) < 0.05
    start[far] *= rng.choice([40.0, 1e4], (int(far.sum()), 1))
    heading = np.where(rng.random(count) < 0.2, 0.0, rng.uniform(-7, 7, count))
    extent = rng.uniform([0.3, 0.2], [9.0, 2.6], (count, 2))
    extent[rng.random(count) < 0.05] = 0.0
    extent[rng.random(count) < 0.05, 0] = 0.0
    valid = np.ones((count, steps), dtype=bool)
    for o in range(count):
        if rng.random() < 0.4:
            first, last = np.sort(rng.integers(0, steps + 1, 2))
            valid[o] = (np.arange(steps) >= first) & (np.arange(steps) < last)
        if rng.random() < 0.1:
            valid[o] &= rng.random(steps) < 0.5
    pose = np.zeros((count, steps, 3))
    pose[..., :2] = start[:, None] + velocity[:, None] * at[:, None]
    pose[..., 2] = wrap_angle(heading)[:, None]
    return tracks_of(pose, extent, kind, velocity, valid)


def tracks_of(
    pose: np.ndarray, extent: np.ndarray, kind: np.ndarray, velocity: np.ndarray, valid: np.ndarray
) -> ObjectTracks:
    """Tracks with every field; velocities (O, 2) are the same at all steps."""
    count, steps = valid.shape
    first = valid.argmax(axis=1)
    return ObjectTracks(
        token=np.array([f"track{o}" for o in range(count)], dtype=np.str_),
        type=kind.astype(np.uint8),
        extent=extent.reshape(count, 2),
        pose=np.where(valid[..., None], pose, 0.0),
        velocity=np.where(valid[..., None], np.repeat(velocity[:, None], steps, axis=1), 0.0),
        valid=valid,
        first_heading=pose[np.arange(count), first, 2],
        first_velocity=velocity.reshape(count, 2),
    )


def look(prepared: SceneArrays, motion: np.ndarray) -> np.ndarray:
    """(9, N) what the raster knows of the areas under each proposal."""
    count = motion.shape[2]
    seen = np.empty((SEEN_ROWS, count), dtype=np.int64)
    for n in range(count):
        look_one(prepared.areas, prepared.path, motion, EGO_STEPS, True, n, seen)
    return seen


def in_devkit_order(
    traffic: TrafficArrays, areas: AreaArrays, motion: np.ndarray, last_step: int
) -> tuple[float, int, int]:
    """(collision score, step of the first collision at fault, first step that violates time to collision).

    One proposal (7, 41), no broad phase, events by step, look-ahead and object, two lists of objects ignored.
    """
    x, y, c, s = (motion[row] for row in (CENTER_X, CENTER_Y, COS, SIN))

    def exposed(t: int) -> bool:
        box = (areas, x[t], y[t], c[t], s[t])
        return bool(box_leaves_drivable(*box) or in_multiple_lanes(*box, HALF_LENGTH, HALF_WIDTH))

    def bearing(o: int, u: int, t: int) -> float:
        dx, dy = traffic.track[o, u, :2] - motion[(REAR_X, REAR_Y), t]
        distance = np.sqrt(dx * dx + dy * dy)
        cosine = 0.0 if distance == 0.0 else (dx * c[t] + dy * s[t]) / distance
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))

    def box_of(o: int, u: int) -> Sequence[float]:
        return *traffic.track[o, u, 2:], traffic.half_length[o], traffic.half_width[o]

    def hits(t: int, ahead: int) -> list[int]:
        u = t + ahead
        center = x[t] + c[t] * motion[SPEED, t] * (ahead * 0.1), y[t] + s[t] * motion[SPEED, t] * (ahead * 0.1)
        return [
            o
            for o in range(len(traffic.present))
            if traffic.present[o] >> u & 1
            and boxes_overlap(
                traffic.track[o, u, 0] - center[0],
                traffic.track[o, u, 1] - center[1],
                c[t],
                s[t],
                HALF_LENGTH,
                HALF_WIDTH,
                *box_of(o, u),
            )
        ]

    def at_fault(o: int, t: int) -> bool:
        if motion[SPEED, t] <= 0.05:
            return False
        if traffic.is_stopped[o]:
            return True
        if bearing(o, t, t) > 150.0:
            return False
        front = x[t] + HALF_LENGTH * c[t], y[t] + HALF_LENGTH * s[t]
        dx, dy = traffic.track[o, t, 0] - front[0], traffic.track[o, t, 1] - front[1]
        return bool(boxes_overlap(dx, dy, c[t], s[t], 0.0, HALF_WIDTH, *box_of(o, t))) or exposed(t)

    def collisions() -> tuple[float, int]:
        score, first, ignored = 1.0, -1, set()
        for t in range(EGO_STEPS):
            for o in hits(t, 0):
                if o in ignored:
                    continue
                if not at_fault(o, t):
                    ignored.add(o)
                    continue
                first = t if first < 0 else first
                if traffic.is_agent[o]:
                    return 0.0, first
                score = 0.5
        return score, first

    def ahead() -> int:
        ignored = set()
        for t in range(last_step + 1):
            if motion[SPEED, t] < 0.005:
                continue
            for steps in LOOKS:
                for o in hits(t, steps):
                    if o in ignored:
                        continue
                    angle = bearing(o, t + steps, t)
                    crossing = bool(in_area(areas, INTERSECTION, motion[REAR_X, t], motion[REAR_Y, t]))
                    if angle < 30.0 or (angle <= 150.0 and (crossing or exposed(t))):
                        return t
                    ignored.add(o)
        return -1

    return *collisions(), ahead()

"""A cached scene and score tables made by hand: a straight road with a lane each way, a left-turning human."""

from __future__ import annotations

import numpy as np
import polars as pl

from navforge.evaluation.tables import ScoreTable, TableMeta, schema, subscores
from navforge.geometry.columns import State
from navforge.geometry.se2 import poses_to_global
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import CachedScene, MapLayer, MapPolygons, RedLights
from navforge.metric_cache.tracks import ObjectTracks

POSE = np.array([664000.0, 3997000.0, 0.7])
"""Ego pose in the global frame."""


def rings_to_global(*rings: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    closed = [np.array([*ring, ring[0]], dtype=float) for ring in rings]
    xy = np.concatenate([poses_to_global(POSE, np.column_stack([r, np.zeros(len(r))]))[:, :2] for r in closed])
    return xy, np.concatenate([[0], np.cumsum([len(r) for r in closed])])


def objects(steps: int) -> ObjectTracks:
    local = np.array([[15.0, 0.0, 0.0], [25.0, 3.5, np.pi], [8.0, -6.0, 1.5], [12.0, -3.0, 0.0]])
    speed = np.array([5.0, -6.0, 0.0, 0.0])
    time = np.arange(steps) * 0.1
    pose = np.stack([poses_to_global(POSE, local + np.outer(t * speed, [1.0, 0.0, 0.0])) for t in time], axis=1)
    forward = np.array([np.cos(POSE[2]), np.sin(POSE[2])])
    velocity = np.repeat((speed[:, None] * forward)[:, None], steps, axis=1)
    return ObjectTracks(
        token=np.array(["a", "b", "c", "d"]),
        type=np.array(
            [ObjectType.VEHICLE, ObjectType.BICYCLE, ObjectType.PEDESTRIAN, ObjectType.TRAFFIC_CONE], dtype=np.uint8
        ),
        extent=np.array([[4.6, 1.9], [1.8, 0.6], [0.6, 0.6], [0.4, 0.4]]),
        pose=pose,
        velocity=velocity,
        valid=np.ones((4, steps), dtype=bool),
        first_heading=pose[:, 0, 2].copy(),
        first_velocity=velocity[:, 0].copy(),
    )


def human(turn: float = 0.8, speed: float = 6.0) -> np.ndarray:
    time = np.arange(1, 9) * 0.5
    heading = turn * time / 4.0
    x = np.cumsum(speed * 0.5 * np.cos(heading))
    y = np.cumsum(speed * 0.5 * np.sin(heading))
    return np.column_stack([x, y, heading])


def scene(token: str = "0123456789abcdef", log_name: str = "log", turn: float = 0.8) -> CachedScene:
    xy, ring_start = rings_to_global(
        [(-30, -5.25), (60, -5.25), (60, 5.25), (-30, 5.25)],
        [(-30, -1.75), (60, -1.75), (60, 1.75), (-30, 1.75)],
        [(-30, 1.75), (60, 1.75), (60, 5.25), (-30, 5.25)],
    )
    light_xy, light_rings = rings_to_global([(30, -1.75), (40, -1.75), (40, 1.75), (30, 1.75)])
    line = poses_to_global(POSE, np.column_stack([np.arange(-30.0, 61.0), np.zeros(91), np.zeros(91)]))
    state = np.zeros(11)
    state[[State.X, State.Y, State.HEADING]] = POSE
    state[State.VELOCITY_X] = 6.0
    return CachedScene(
        token=token,
        log_name=log_name,
        map_location="us-nv-las-vegas-strip",
        time_us=1_600_000_000_000_000,
        synthetic=False,
        ego_state=state,
        history_states=np.zeros((0, 11)),
        human_poses=human(turn),
        pdm_reference=np.zeros((2, 51, 3)),
        pdm_reference_input=np.zeros((2, 41, 3)),
        pdm_times_us=np.arange(51, dtype=np.int64) * 100_000,
        centerline=line,
        centerline_progress=np.arange(91.0),
        route_lane_ids=("2",),
        polygons=MapPolygons(
            xy=xy,
            ring_start=ring_start,
            polygon_start=np.arange(4),
            layer=np.array([MapLayer.ROADBLOCK, MapLayer.LANE, MapLayer.LANE], dtype=np.uint8),
            fid=np.array([1, 2, 3]),
            on_route=np.array([False, True, False]),
        ),
        objects_v1=None,
        objects_v2=objects(41),
        red_lights=RedLights(
            step=np.zeros(1, np.uint8),
            connector=np.zeros(1, np.int64),
            fid=np.array([9]),
            xy=light_xy,
            ring_start=light_rings,
            polygon_start=np.array([0, 1]),
        ),
    )


def table(
    level: float, protocols: tuple[str, ...] = ("pdms_v1", "epdms_v2"), scenes: int = 24, missing: int = 0
) -> ScoreTable:
    """Scores scattered about `level` over 4 logs."""
    random = np.random.default_rng(7)
    rows = []
    for name in protocols:
        for number in range(scenes):
            value = float(np.clip(level + 0.15 * random.standard_normal(), 0.0, 1.0))
            row: dict[str, object] = dict.fromkeys(schema(protocols))
            row.update(dict.fromkeys(subscores(name), round(value, 3)))
            row.update(
                token=f"{number:016x}", index=0, protocol=name, log_name=f"log{number % 4}",
                human_filter=name != "pdms_v1", progress_m=10.0, score=value,
            )  # fmt: skip
            rows.append(row)
    meta = TableMeta(
        protocols=protocols,
        split="test",
        split_hash="f" * 16,
        split_scenes=scenes + missing,
        missing=missing,
        missing_hash="e" * 16 if missing else None,
        human_filter="auto",
        extended_comfort=True,
        cache="c" * 16,
        trajectories="d" * 16,
        navforge="0.1.0",
    )
    return ScoreTable(pl.DataFrame(rows, schema=schema(protocols)), meta)

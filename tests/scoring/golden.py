"""Cached scenes built straight from the official devkit's stored arrays, independent of our own caching code."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

import numpy as np

from navforge.geometry.se2 import wrap_angle
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import CachedScene, MapLayer, MapPolygons, RedLights
from navforge.metric_cache.tracks import ObjectTracks

AGENTS = (ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.BICYCLE)
LIGHT_PREFIX = "red_light_"


def golden_files(realdata: Path, version: str = "v2") -> list[Path]:
    return sorted((realdata / "golden" / version).glob("*/*.npz"))


@cache
def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def scene_from_golden(realdata: Path, token: str, with_v1: bool = True) -> CachedScene:
    """The scene as the devkit cached it; objects of v1.1 are interpolated here from the log, 5 s instead of 4."""
    path = next((realdata / "golden" / "v2").glob(f"*/{token}.npz"))
    d = load(path)
    v1 = load(realdata / "golden" / "v1" / path.parent.name / path.name)
    references = np.stack([v1["pdm_trajectory"][:, :3], d["pdm_trajectory"][:, :3]])
    times = d["pdm_times_us"].astype(np.float64)
    at = np.clip(_sample_times(int(d["time_us"])), times[0], times[-1])
    inputs = []
    for reference in references:
        heading = np.unwrap(reference[:, 2])
        columns = [np.interp(at, times, column) for column in (reference[:, 0], reference[:, 1], heading)]
        inputs.append(np.stack([columns[0], columns[1], wrap_angle(columns[2])], axis=1))
    log_name = str(d["log_name"])
    return CachedScene(
        token=token,
        log_name=log_name,
        map_location=str(d["map_name"]),
        time_us=int(d["time_us"]),
        synthetic=False,
        ego_state=d["ego_initial_state"],
        history_states=d["history_states"],
        human_poses=d["human_poses"],
        pdm_reference=references,
        pdm_reference_input=np.stack(inputs),
        pdm_times_us=d["pdm_times_us"],
        centerline=d["centerline"],
        centerline_progress=d["centerline_progress"],
        route_lane_ids=tuple(str(lane) for lane in d["route_lane_ids"]),
        polygons=_polygons(d),
        objects_v1=objects_v1(realdata, log_name, token) if with_v1 else None,
        objects_v2=tracks(d, "objects", Devkit.V2.observation_steps),
        red_lights=_lights(d),
    )


def tracks(d: dict[str, np.ndarray], prefix: str, steps: int) -> ObjectTracks:
    tokens = d[f"{prefix}_tokens"]
    count = len(tokens)
    kind = np.array([ObjectType[str(name).upper()] for name in d[f"{prefix}_types"]], dtype=np.uint8)
    pose = np.zeros((count, steps, 3))
    velocity = np.zeros((count, steps, 2))
    valid = np.zeros((count, steps), dtype=bool)
    extent = np.zeros((count, 2))
    step, index = d[f"{prefix}_step"].astype(int), d[f"{prefix}_index"].astype(int)
    pose[index, step] = d[f"{prefix}_box"][:, :3]
    extent[index] = d[f"{prefix}_box"][:, 3:]
    velocity[index, step] = d[f"{prefix}_velocity"]
    valid[index, step] = True
    first = valid.argmax(axis=1)
    every = np.arange(count)
    return ObjectTracks(
        token=tokens,
        type=kind,
        extent=extent,
        pose=pose,
        velocity=velocity,
        valid=valid,
        first_heading=pose[every, first, 2],
        first_velocity=velocity[every, first],
    )


def _polygons(d: dict[str, np.ndarray]) -> MapPolygons:
    route = {str(lane) for lane in d["route_lane_ids"]}
    layer = np.array([MapLayer[str(name).upper()] for name in d["map_types"]], dtype=np.uint8)
    lanes = np.isin(layer, [MapLayer.LANE, MapLayer.LANE_CONNECTOR])
    return MapPolygons(
        xy=d["map_xy"],
        ring_start=d["map_ring_start"],
        polygon_start=d["map_polygon_start"],
        layer=layer,
        fid=d["map_tokens"].astype(np.int64),
        on_route=lanes & np.array([str(token) in route for token in d["map_tokens"]]),
    )


def _lights(d: dict[str, np.ndarray]) -> RedLights:
    names = list(dict.fromkeys(str(token) for token in d["light_tokens"]))
    xy, ring_start, polygon_start = [np.empty((0, 2))], [0], [0]
    for name in names:
        p = next(
            i
            for i, (token, kind) in enumerate(zip(d["map_tokens"], d["map_types"], strict=True))
            if str(token) == name.removeprefix(LIGHT_PREFIX) and str(kind).upper() == "LANE_CONNECTOR"
        )
        for r in range(d["map_polygon_start"][p], d["map_polygon_start"][p + 1]):
            ring = d["map_xy"][d["map_ring_start"][r] : d["map_ring_start"][r + 1]]
            xy.append(ring)
            ring_start.append(ring_start[-1] + len(ring))
        polygon_start.append(len(ring_start) - 1)
    return RedLights(
        step=d["light_step"].astype(np.uint8),
        connector=np.array([names.index(str(token)) for token in d["light_tokens"]], dtype=np.int64),
        fid=np.array([int(name.removeprefix(LIGHT_PREFIX)) for name in names], dtype=np.int64),
        xy=np.concatenate(xy),
        ring_start=np.array(ring_start, dtype=np.int64),
        polygon_start=np.array(polygon_start, dtype=np.int64),
    )


def _sample_times(time_us: int) -> np.ndarray:
    return np.array([int(t * 1e6) for t in np.arange(0.0, 4.1, 0.1) + time_us * 1e-6], dtype=np.float64)


@cache
def _frames(realdata: Path, log_name: str) -> list[dict]:
    with open(realdata / "navsim_logs" / "real" / f"{log_name}.pkl", "rb") as file:
        return pickle.load(file)


def objects_v1(realdata: Path, log_name: str, token: str) -> ObjectTracks:
    frames = _frames(realdata, log_name)
    now = next(i for i, frame in enumerate(frames) if frame["token"] == token)
    seen: dict[str, list[np.ndarray]] = {}
    kinds: dict[str, ObjectType] = {}
    extents: dict[str, np.ndarray] = {}
    for k in range(11):
        frame = frames[now + k]
        qw, qx, qy, qz = frame["ego2global_rotation"]
        heading = np.arctan2(2 * (qw * qz - qx * qy), 1 - 2 * (qy * qy + qz * qz))  # as pyquaternion
        c, s = np.cos(heading), np.sin(heading)
        x0, y0 = frame["ego2global_translation"][:2]
        anns = frame["anns"]
        for box, name, v, track in zip(
            anns["gt_boxes"], anns["gt_names"], anns["gt_velocity_3d"], anns["track_tokens"], strict=True
        ):
            kind = ObjectType[str(name).upper()]
            state = np.zeros(6)
            state[0] = 0.5 * k
            state[1] = x0 + c * box[0] - s * box[1]
            state[2] = y0 + s * box[0] + c * box[1]
            state[3] = wrap_angle(np.array(box[6] + heading))
            if kind in AGENTS:
                state[4:] = c * v[0] - s * v[1], s * v[0] + c * v[1]
            seen.setdefault(track, []).append(state)
            kinds.setdefault(track, kind)
            extents.setdefault(track, np.array(box[3:5]))
    steps = 51
    at = np.arange(steps) * 0.1
    count = len(seen)
    pose, velocity = np.zeros((count, steps, 3)), np.zeros((count, steps, 2))
    valid = np.zeros((count, steps), dtype=bool)
    for o, states in enumerate(seen.values()):
        table = np.array(states)
        table[:, 3] = np.unwrap(table[:, 3])
        single = len(table) == 1
        valid[o] = single | ((at >= table[0, 0]) & (at <= table[-1, 0]))
        for column in range(5):
            series = np.interp(at, table[:, 0], table[:, column + 1])
            (pose[o, :, column] if column < 3 else velocity[o, :, column - 3])[:] = series
    first = valid.argmax(axis=1)
    every = np.arange(count)
    return ObjectTracks(
        token=np.array(list(seen)),
        type=np.array([kinds[t] for t in seen], dtype=np.uint8),
        extent=np.array([extents[t] for t in seen]).reshape(count, 2),
        pose=pose,
        velocity=velocity,
        valid=valid,
        first_heading=pose[every, first, 2],
        first_velocity=velocity[every, first],
    )

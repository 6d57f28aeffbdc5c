"""One log of the metric cache as a file of arrays.

What scenes of a log share is stored once: objects per log frame (a scene is a list of frames and its tracks are
interpolated when it is loaded), map polygons, lane baselines (a centreline is a list of lanes).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.arclength import arc_length
from navforge.metric_cache.container import Arrays, read_arrays, write_arrays
from navforge.metric_cache.deferred import defer
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.objects import FrameObjects, ObjectFrames, grouped
from navforge.metric_cache.ragged import gather_polygons, is_listed, slices
from navforge.metric_cache.reactive import ReactiveStart
from navforge.metric_cache.scene import REFERENCE_STEPS, CachedScene, MapLayer, MapPolygons, RedLights
from navforge.metric_cache.tracks import ObjectTracks, interpolate, last_frame

Float = NDArray[np.float64]
Ints = NDArray[np.int64]

_STEP_US = 100_000
_RAGGED = (
    "frames",
    "history_states",
    "centerline_lanes",
    "route_lanes",
    "polygons",
    "light_step",
    "light_polygon",
    "follower",
    "follower_lane",
    "follower_motion",
    "follower_pose",
    "standing",
)


@dataclass(frozen=True)
class SceneRecord:
    """A scene together with what it shares with others of its log."""

    scene: CachedScene
    frames: tuple[int, ...]
    """Current and future frames, as indices into the log."""
    centerline_lanes: tuple[int, ...]
    """Lanes whose baselines, end to end, are the centreline."""
    reactive_lanes: tuple[int, ...] = ()
    """Lanes that `CachedScene.reactive` numbers."""


@dataclass(frozen=True)
class LogRecord:
    """All scenes of one log."""

    log_name: str
    scenes: list[SceneRecord] = field(default_factory=list)
    frame_objects: dict[int, FrameObjects] = field(default_factory=dict)
    """By log frame."""
    lane_paths: dict[int, Float] = field(default_factory=dict)
    """(M, 3) baseline poses by lane."""


def write_log(path: Path | str, record: LogRecord, meta: Mapping[str, Any]) -> int:
    """Write one log; returns the size of the file in bytes."""
    scenes = [entry.scene for entry in record.scenes]
    frame_row = {frame: row for row, frame in enumerate(sorted(record.frame_objects))}
    lane_row = {lane: row for row, lane in enumerate(record.lane_paths)}
    polygons = _PolygonTable()
    ragged: dict[str, list[NDArray[Any]]] = {name: [] for name in _RAGGED}
    for entry in record.scenes:
        scene = entry.scene
        ragged["frames"].append(np.array([frame_row[frame] for frame in entry.frames], np.int32))
        ragged["history_states"].append(scene.history_states)
        ragged["centerline_lanes"].append(np.array([lane_row[lane] for lane in entry.centerline_lanes], np.int32))
        ragged["route_lanes"].append(np.array(list(map(int, scene.route_lane_ids)), np.int64))
        ragged["polygons"].append(polygons.add(scene.map_location, scene.polygons))
        ragged["light_step"].append(scene.red_lights.step)
        ragged["light_polygon"].append(polygons.add_lights(scene.map_location, scene.red_lights))
        start = _reactive(scene)
        rows = np.array([lane_row[lane] for lane in entry.reactive_lanes], np.int32)
        ragged["follower"].append(start.follower)
        ragged["follower_lane"].append(rows[start.lane])
        motion = (start.progress_m, start.speed_mps, start.target_speed_mps)
        ragged["follower_motion"].append(np.stack(motion, axis=-1))
        ragged["follower_pose"].append(start.start_pose)
        ragged["standing"].append(start.standing)
    arrays: Arrays = {
        "time_us": np.array([scene.time_us for scene in scenes], np.int64),
        "synthetic": np.array([scene.synthetic for scene in scenes], np.bool_),
        "ego_state": np.stack([scene.ego_state for scene in scenes]),
        "human_poses": np.stack([_or_zeros(scene.human_poses, (8, 3)) for scene in scenes]),
        "pdm_reference": np.stack([scene.pdm_reference for scene in scenes]),
        "pdm_reference_input": np.stack([scene.pdm_reference_input for scene in scenes]),
        **_pack_frames([record.frame_objects[frame] for frame in frame_row]),
        **_pack_ragged("lane_path", list(record.lane_paths.values())),
        **polygons.arrays(),
    }
    for name, parts in ragged.items():
        arrays |= _pack_ragged(name, parts)
    header = {
        **meta,
        "log_name": record.log_name,
        "tokens": [scene.token for scene in scenes],
        "map_locations": [scene.map_location for scene in scenes],
    }
    return write_arrays(path, header, arrays)


class LogFile:
    """A log of the metric cache in memory; scenes are put together when asked for."""

    def __init__(self, path: Path | str) -> None:
        """Read and check a whole file.

        Raises:
            DataError: missing, truncated or damaged.
        """
        self.path = Path(path)
        self.meta, self._arrays = read_arrays(path)
        self.tokens: tuple[str, ...] = tuple(self.meta["tokens"])
        self._row = {token: row for row, token in enumerate(self.tokens)}
        arrays = self._arrays
        self._tracks: NDArray[np.str_] = arrays["track_token"].astype(np.str_)
        self._sightings = FrameObjects(
            token=self._tracks[:0],
            type=arrays["object_type"],
            extent=arrays["object_extent"],
            pose=arrays["object_pose"],
            velocity=arrays["object_velocity"],
        )

    def scene(self, token: str) -> CachedScene:
        """One scene; DataError if the log does not hold it."""
        if token not in self._row:
            raise DataError(f"{self.path} has no scene {token}")
        row, arrays = self._row[token], self._arrays
        frames = self._part("frames", row)
        seen = cache(partial(self._seen, frames))
        route = self._part("route_lanes", row)
        centerline = np.concatenate(
            [self._part("lane_path", int(lane)) for lane in self._part("centerline_lanes", row)]
        )
        synthetic = bool(arrays["synthetic"][row])
        time_us = int(arrays["time_us"][row])
        return CachedScene(
            token=token,
            log_name=str(self.meta["log_name"]),
            map_location=str(self.meta["map_locations"][row]),
            time_us=time_us,
            synthetic=synthetic,
            ego_state=arrays["ego_state"][row],
            history_states=self._part("history_states", row),
            human_poses=None if synthetic else arrays["human_poses"][row],
            pdm_reference=arrays["pdm_reference"][row],
            pdm_reference_input=arrays["pdm_reference_input"][row],
            pdm_times_us=time_us + _STEP_US * np.arange(REFERENCE_STEPS, dtype=np.int64),
            centerline=centerline,
            centerline_progress=arc_length(centerline),
            route_lane_ids=tuple(map(str, route.tolist())),
            polygons=self._polygons(self._part("polygons", row), route),
            objects_v1=_tracks(seen, Devkit.V1) if len(frames) > last_frame(Devkit.V1) else None,
            objects_v2=_tracks(seen, Devkit.V2),
            red_lights=self._lights(self._part("light_step", row), self._part("light_polygon", row)),
            reactive=defer(ReactiveStart, lambda _: self._reactive(row)),
        )

    def scenes(self) -> list[CachedScene]:
        """All scenes in time order."""
        return [self.scene(token) for token in self.tokens]

    def _part(self, name: str, row: int) -> NDArray[Any]:
        start = self._arrays[f"{name}_start"]
        return self._arrays[name][start[row] : start[row + 1]]

    def _seen(self, frames: NDArray[np.int32]) -> ObjectFrames:
        number, rows = slices(self._arrays["object_start"], frames)
        return grouped(
            token=self._tracks,
            track=self._arrays["object_track"][rows],
            number=number,
            rows=rows,
            table=self._sightings,
            frames=len(frames),
        )

    def _current(self, row: int) -> FrameObjects:
        """Objects of a scene's current frame."""
        arrays = self._arrays
        first = int(self._part("frames", row)[0])
        part = slice(arrays["object_start"][first], arrays["object_start"][first + 1])
        return FrameObjects(
            token=self._tracks[arrays["object_track"][part]],
            type=arrays["object_type"][part],
            extent=arrays["object_extent"][part],
            pose=arrays["object_pose"][part],
            velocity=arrays["object_velocity"][part],
        )

    def _reactive(self, row: int) -> ReactiveStart:
        motion = self._part("follower_motion", row)
        return ReactiveStart(
            current=self._current(row),
            follower=self._part("follower", row),
            lane=self._part("follower_lane", row),
            progress_m=motion[:, 0],
            speed_mps=motion[:, 1],
            target_speed_mps=motion[:, 2],
            start_pose=self._part("follower_pose", row),
            path=self._arrays["lane_path"],
            path_start=self._arrays["lane_path_start"],
            standing=self._part("standing", row),
        )

    def _polygons(self, rows: NDArray[Any], route: Ints) -> MapPolygons:
        layer, fid = self._arrays["polygon_layer"][rows], self._arrays["polygon_fid"][rows]
        is_lane = (layer == MapLayer.LANE) | (layer == MapLayer.LANE_CONNECTOR)
        return MapPolygons(*self._rings_of(rows), layer, fid, is_lane & is_listed(fid, route))

    def _lights(self, step: NDArray[np.uint8], rows: NDArray[Any]) -> RedLights:
        distinct = np.array(list(dict.fromkeys(rows.tolist())), np.int32)
        index = {int(row): k for k, row in enumerate(distinct)}
        connector = np.array([index[row] for row in rows.tolist()], np.int64)
        return RedLights(step, connector, self._arrays["polygon_fid"][distinct], *self._rings_of(distinct))

    def _rings_of(self, rows: NDArray[np.int32]) -> tuple[Float, Ints, Ints]:
        """Vertices, ring starts and polygon starts of some polygons of the table."""
        arrays = self._arrays
        return gather_polygons(rows, arrays["polygon_start"], arrays["ring_start"], arrays["polygon_xy"])


def _tracks(seen: Callable[[], ObjectFrames], devkit: Devkit) -> ObjectTracks:
    return ObjectTracks.deferred(lambda bounds: interpolate(seen() if bounds is None else seen().near(bounds), devkit))


class _PolygonTable:
    """Distinct map polygons of a log."""

    def __init__(self) -> None:
        self._row: dict[Hashable, int] = {}
        self._layer: list[int] = []
        self._fid: list[int] = []
        self._ring_counts: list[int] = []
        self._rings: list[Float] = []

    def add(self, location: str, polygons: MapPolygons) -> NDArray[np.int32]:
        """Rows of a scene's polygons."""
        keys = zip(polygons.layer.tolist(), polygons.fid.tolist(), strict=True)
        return self._rows(location, keys, polygons.xy, polygons.ring_start, polygons.polygon_start)

    def add_lights(self, location: str, lights: RedLights) -> NDArray[np.int32]:
        """Row of the connector of each entry of a scene's red lights."""
        keys = ((int(MapLayer.LANE_CONNECTOR), int(fid)) for fid in lights.fid)
        return self._rows(location, keys, lights.xy, lights.ring_start, lights.polygon_start)[lights.connector]

    def arrays(self) -> Arrays:
        """The table as arrays."""
        return {
            "polygon_layer": np.array(self._layer, np.uint8),
            "polygon_fid": np.array(self._fid, np.int64),
            "polygon_start": _starts(self._ring_counts),
            "ring_start": _starts(map(len, self._rings)),
            "polygon_xy": np.concatenate(self._rings) if self._rings else np.zeros((0, 2)),
        }

    def _rows(
        self, location: str, keys: Iterable[tuple[int, int]], xy: Float, ring_start: Ints, polygon_start: Ints
    ) -> NDArray[np.int32]:
        rows = []
        for index, (layer, fid) in enumerate(keys):
            key = (location, layer, fid)
            if key not in self._row:
                self._row[key] = len(self._row)
                self._layer.append(layer)
                self._fid.append(fid)
                rings = range(polygon_start[index], polygon_start[index + 1])
                self._ring_counts.append(len(rings))
                self._rings += [xy[ring_start[ring] : ring_start[ring + 1]] for ring in rings]
            rows.append(self._row[key])
        return np.array(rows, np.int32)


def _pack_frames(frames: Sequence[FrameObjects]) -> Arrays:
    token = np.concatenate([frame.token for frame in frames])
    tracks, track = np.unique(token, return_inverse=True)
    return {
        "track_token": np.char.encode(tracks, "utf-8") if len(tracks) else np.zeros(0, "S1"),
        "object_start": _starts(len(frame.token) for frame in frames),
        "object_track": track.astype(np.int32),
        "object_type": np.concatenate([frame.type for frame in frames]),
        "object_extent": np.concatenate([frame.extent for frame in frames]),
        "object_pose": np.concatenate([frame.pose for frame in frames]),
        "object_velocity": np.concatenate([frame.velocity for frame in frames]),
    }


def _pack_ragged(name: str, parts: Sequence[NDArray[Any]]) -> Arrays:
    return {name: np.concatenate(parts), f"{name}_start": _starts(map(len, parts))}


def _starts(lengths: Iterable[int]) -> Ints:
    return np.cumsum([0, *lengths], dtype=np.int64)


def _reactive(scene: CachedScene) -> ReactiveStart:
    if scene.reactive is None:
        raise ValueError(f"scene {scene.token} has no start of reactive traffic, which a log file stores")
    return scene.reactive


def _or_zeros(array: Float | None, shape: tuple[int, ...]) -> Float:
    return np.zeros(shape) if array is None else array

"""From logged scenes and maps to cached scenes, and to the file of one log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from navforge.cache_builder.centerline import centerline_lanes, centerline_poses, starting_lane
from navforge.cache_builder.drivable import drivable_map
from navforge.cache_builder.lights import held_lights, red_connectors, replayed_lights
from navforge.cache_builder.reactive import reactive_start
from navforge.cache_builder.road_graph import RoadGraph
from navforge.cache_builder.route import Route, correct_route, load_route
from navforge.core.errors import DataError
from navforge.core.failures import Failure, SceneFailures
from navforge.core.files import file_fingerprint
from navforge.data import ego_states as ego
from navforge.data.logged import read_logged
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.geometry.columns import State
from navforge.maps.geopackage import map_path
from navforge.maps.graph import lane_graph
from navforge.maps.map import Map, read_map
from navforge.metric_cache.devkit import Devkit
from navforge.metric_cache.log_file import LogRecord, SceneRecord
from navforge.metric_cache.scene import CachedScene
from navforge.pdm_closed.forecast import forecast
from navforge.pdm_closed.planner import PdmClosed, plan, reference_times_us, simulator_input
from navforge.pdm_closed.route_path import RoutePath

_HUMAN_POSES = 8
_MAY_BE_UNKNOWN = frozenset({"objects_v1.velocity", "objects_v2.velocity", "reactive.current.velocity"})
_SYNTHETIC_TOKEN_LENGTH = 17


@dataclass(frozen=True)
class BuiltScene:
    """A cached scene with the results on the way to it."""

    record: SceneRecord
    logged_route: Route
    route: Route
    centerline: RoutePath
    pdm_closed: PdmClosed


@dataclass(frozen=True)
class BuiltLog:
    """Outcome of one log."""

    record: LogRecord
    failures: list[Failure]


def build_scene(scene: Scene, road_map: Map, record: LogRecord) -> BuiltScene:
    """Everything the scores of one scene depend on.

    Args:
        scene: logged frames; at least 4 up to the current one and 8 after it.
        road_map: map of the scene's location.
        record: of the scene's log; objects of the scene's frames and baselines of its lanes are added to it.

    Raises:
        DataError: the scene does not fit the map or lacks frames, or a value would not be finite.
    """
    graph = RoadGraph(lane_graph(road_map))
    ahead = (scene.current, *scene.future)
    logged = read_logged(scene, record.frame_objects)
    state = logged.states[-1]
    pose, center, box = _ego_geometry(state)

    logged_route = load_route(graph, logged.roadblocks)
    route = correct_route(graph, logged_route, pose)
    drivable = drivable_map(road_map, float(center[0]), float(center[1]))
    start = starting_lane(graph, route, drivable, pose, center, box)
    lanes = centerline_lanes(graph, route, start)
    record.lane_paths.update((lane, graph.lane_path(lane)) for lane in lanes)
    centerline = RoutePath(centerline_poses(graph, lanes))
    reactive, reactive_lanes = reactive_start(road_map, record.frame_objects[scene.current.index], state, center)
    record.lane_paths.update((lane, graph.lane_path(lane)) for lane in reactive_lanes)
    synthetic = len(scene.token) == _SYNTHETIC_TOKEN_LENGTH
    unplanned = CachedScene(
        token=scene.token,
        log_name=logged.log_name,
        map_location=scene.map_location,
        time_us=logged.time_us,
        synthetic=synthetic,
        ego_state=state,
        history_states=logged.comfort_history,
        human_poses=None if synthetic else scene.human_poses(_HUMAN_POSES),
        pdm_reference=np.zeros((len(Devkit), 0, 3)),
        pdm_reference_input=np.zeros((len(Devkit), 0, 3)),
        pdm_times_us=reference_times_us(logged.time_us),
        centerline=centerline.poses,
        centerline_progress=centerline.progress,
        route_lane_ids=tuple(map(str, route.lanes)),
        polygons=drivable.flat(route.lanes),
        objects_v1=logged.objects_v1,
        objects_v2=logged.objects_v2,
        red_lights=replayed_lights(graph, ahead, logged_route.lanes),
        reactive=reactive,
    )
    around = forecast(record.frame_objects[scene.current.index], center, box, _light_polygons(graph, scene, route))
    lights = held_lights(graph, scene.current, route.lanes)
    planned = plan(unplanned, centerline, around, lights, graph.speed_limit(start))
    cached = _with_reference(unplanned, planned)
    check_finite(cached)
    entry = SceneRecord(cached, tuple(frame.index for frame in ahead), tuple(lanes), reactive_lanes)
    return BuiltScene(entry, logged_route, route, centerline, planned)


def build_log(split: Split, data: DataConfig, log_name: str) -> BuiltLog:
    """All scenes of a split in one log; what goes wrong with a scene is recorded and the others go on."""
    record, failures = LogRecord(log_name), SceneFailures(log_name)
    for scene in read_scenes(split, data, log_name):
        with failures.of(scene.token):
            road_map = read_map(data.map_root(), scene.map_location)
            record.scenes.append(build_scene(scene, road_map, record).record)
    return BuiltLog(record, failures.failures)


def check_finite(scene: CachedScene) -> None:
    """Refuse a scene with NaN or infinity, which the scores would swallow.

    Velocities of objects over time may hold them, as in the devkit: no score reads any but the first.

    Raises:
        DataError: names the scene, its log and the values.
    """
    for name, values in _float_arrays(scene, ""):
        if not np.isfinite(values).all() and name not in _MAY_BE_UNKNOWN:
            raise DataError(f"scene {scene.token} of log {scene.log_name}: {name!r} holds NaN or infinity")


def _float_arrays(record: Any, group: str) -> Iterator[tuple[str, np.ndarray]]:
    for part in fields(record):
        value = getattr(record, part.name)
        if is_dataclass(value):
            yield from _float_arrays(value, f"{group}{part.name}.")
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            yield f"{group}{part.name}", value


def map_fingerprints(data: DataConfig, locations: set[str]) -> dict[str, str]:
    """Fingerprint of the map file of each location."""
    return {location: _map_fingerprint(*_identity(map_path(data.map_root(), location))) for location in locations}


def _identity(path: Path) -> tuple[Path, int, int]:
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=16)
def _map_fingerprint(path: Path, size: int, mtime_ns: int) -> str:
    return file_fingerprint(path)


def _ego_geometry(state: np.ndarray) -> tuple[np.ndarray, np.ndarray, shapely.Polygon]:
    """Pose of the rear axle (3,), pose of the centre (3,), footprint."""
    pose = state[: State.HEADING + 1]
    return pose, ego.center(pose), ego.boxes(pose)


def _light_polygons(graph: RoadGraph, scene: Scene, route: Route) -> np.ndarray:
    red = red_connectors(scene.current, set(route.lanes))
    polygons = np.empty(len(red), dtype=object)
    polygons[:] = [graph.lane_polygon(fid) for fid in red]
    return polygons


def _with_reference(scene: CachedScene, planned: PdmClosed) -> CachedScene:
    inputs = [simulator_input(trajectory, scene.time_us) for trajectory in planned.trajectory]
    return replace(scene, pdm_reference=planned.trajectory, pdm_reference_input=np.stack(inputs))

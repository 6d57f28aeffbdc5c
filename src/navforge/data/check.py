"""What of a split is really on disk: logs, scenes, sensor files (also whether they decode), maps, disk use."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.data.lidar import read_lidar
from navforge.data.logged import FUTURE_FRAMES, read_logged
from navforge.data.logs import Frame
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.sensors import read_image, sensor_file
from navforge.data.splits import Split
from navforge.maps import Layer, read_map
from navforge.maps.schema import SCENE_LAYERS
from navforge.metric_cache.objects import FrameObjects

CAMERA, LIDAR = "camera", "lidar"
KINDS = (CAMERA, LIDAR)
MAP_RADIUS_M = 100.0
"""Half side of the square around an ego on the map in which there is a roadblock or a roadblock connector."""


@dataclass
class FileCount:
    """Sensor files of one kind that scenes refer to."""

    expected: int = 0
    present: int = 0
    decoded: int = 0
    """Files opened and decoded to see whether they are whole."""
    missing: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
    """What is wrong, with the file's name."""
    bytes: int = 0

    def add(self, other: FileCount) -> None:
        """Count another's files too."""
        self.expected += other.expected
        self.present += other.present
        self.decoded += other.decoded
        self.missing += other.missing
        self.corrupt += other.corrupt
        self.bytes += other.bytes


@dataclass
class LogCheck:
    """Findings in one log."""

    scenes: int
    frames: int
    locations: dict[str, int]
    """Scenes by map location."""
    positions: dict[str, list[tuple[float, float]]]
    """Ego x, y (m, global frame) at the first and the last scene of each location."""
    log_bytes: int
    files: dict[str, FileCount]
    unreadable: dict[str, str]
    """Scenes that `navforge cache` would refuse for what their log holds, and why."""


@dataclass
class SplitCheck:
    """Findings in one split."""

    split: Split
    frames: int = 0
    locations: dict[str, int] = field(default_factory=dict)
    """Scenes by map location."""
    map_problems: dict[str, str] = field(default_factory=dict)
    """Locations whose map cannot be used, and why."""
    maps_checked: bool = True
    files: dict[str, FileCount] = field(default_factory=lambda: {kind: FileCount() for kind in KINDS})
    sensors_checked: bool = True
    log_bytes: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    """Logs in which scenes cannot be read, and why."""

    @property
    def problems(self) -> list[str]:
        """One sentence for each kind of thing that is missing or damaged; empty if all is well."""
        texts = [self.split.describe_missing()] if not self.split.complete else []
        for kind, count in self.files.items():
            if count.missing:
                texts.append(f"{len(count.missing)} of {count.expected} {kind} files missing, first {count.missing[0]}")
            if count.corrupt:
                texts.append(
                    f"{len(count.corrupt)} of {count.decoded} decoded {kind} files corrupt: {count.corrupt[0]}"
                )
        texts += [f"map {location}: {why}" for location, why in self.map_problems.items()]
        texts += [f"log {log}: {why}" for log, why in self.unreadable.items()]
        return texts


def check_split(
    split: Split, data: DataConfig, *, frames: str = "history", sample: int | None = 200, workers: int = 0
) -> SplitCheck:
    """Look at everything a split's scenes refer to.

    Args:
        split: the split.
        data: where things are; sensor files and maps are left out where their folder is not set.
        frames: which frames' sensor files count: `current`, `history` (with the current one) or `all`.
        sample: about how many sensor files of each kind to decode, chosen evenly and always alike; None: all.
        workers: processes; 0: one per CPU.
    """
    positions: dict[str, list[tuple[float, float]]] = {}
    result = SplitCheck(split, sensors_checked=data.sensors is not None, maps_checked=data.maps is not None)
    share = None if sample is None else sample / max(len(split), 1)
    task = partial(_check_log, data=data, frames=frames, share=share)
    items = [split.one_log(log_name) for log_name in split.logs]
    for outcome in parallel.run(task, items, workers=workers, label=f"checking {split.name}"):
        if outcome.result is None:
            result.unreadable |= dict.fromkeys(outcome.item.logs, str(outcome.error))
            continue
        found = outcome.result
        result.frames += found.frames
        result.log_bytes += found.log_bytes
        for location, scenes in found.locations.items():
            result.locations[location] = result.locations.get(location, 0) + scenes
            positions.setdefault(location, []).extend(found.positions[location])
        for kind in KINDS:
            result.files[kind].add(found.files[kind])
        if found.unreadable:
            token, why = next(iter(found.unreadable.items()))
            counted = f"{len(found.unreadable)} of {found.scenes} scenes cannot be cached"
            result.unreadable |= dict.fromkeys(outcome.item.logs, f"{counted}, such as {token}: {why}")
    for count in result.files.values():
        count.missing.sort()
        count.corrupt.sort()
    if result.maps_checked:
        result.map_problems = _check_maps(data, positions)
    return result


def _check_log(split: Split, *, data: DataConfig, frames: str, share: float | None) -> LogCheck:
    """Check one log, the only one of `split`."""
    (log_name,) = split.logs
    scenes = read_scenes(split, data, log_name)
    chosen = {id(frame): frame for scene in scenes for frame in _frames(scene, frames)}
    locations: dict[str, int] = {}
    positions: dict[str, list[tuple[float, float]]] = {}
    objects: dict[int, FrameObjects] = {}
    unreadable: dict[str, str] = {}
    for scene in scenes:
        x, y, _heading = scene.current.pose.tolist()
        places = positions.setdefault(scene.map_location, [])
        places[1:] = [(x, y)]
        _ = scene.human_poses(len(scene.future)), scene.ego_status()
        if all(frame.annotated for frame in (scene.current, *scene.future)) and len(scene.future) >= FUTURE_FRAMES:
            try:
                _ = read_logged(scene, objects)
            except DataError as error:
                unreadable[scene.token] = str(error)
        locations[scene.map_location] = locations.get(scene.map_location, 0) + 1
    files = {kind: FileCount() for kind in KINDS}
    if data.sensors is not None:
        for kind, paths in _sensor_paths(chosen.values()).items():
            full = [_place(data, split.folders[log_name], path) for path in paths]
            files[kind] = _check_files(kind, full, None if share is None else math.ceil(share * len(scenes)), log_name)
    return LogCheck(
        scenes=len(scenes),
        frames=len(chosen),
        locations=locations,
        positions=positions,
        log_bytes=split.log_path(data, log_name).stat().st_size,
        files=files,
        unreadable=unreadable,
    )


def _frames(scene: Scene, which: str) -> tuple[Frame, ...]:
    return {"current": (scene.current,), "history": scene.history, "all": scene.frames}[which]


def _sensor_paths(frames: Iterable[Frame]) -> dict[str, list[str]]:
    cameras: dict[str, None] = {}
    sweeps: dict[str, None] = {}
    for frame in frames:
        cameras.update((camera.path, None) for camera in frame.cameras.values())
        if frame.lidar_path is not None:
            sweeps[frame.lidar_path] = None
    return {CAMERA: list(cameras), LIDAR: list(sweeps)}


def _place(data: DataConfig, folder: str, relative: str) -> Path:
    if data.sensors is not None and not data.sensors.is_dir():
        return data.sensors / folder / relative
    return sensor_file(data, folder, relative)


def _check_files(kind: str, paths: list[Path], most: int | None, seed: str) -> FileCount:
    count = FileCount(expected=len(paths))
    there = []
    for path in paths:
        try:
            size = path.stat().st_size
        except OSError:
            count.missing.append(str(path))
            continue
        count.bytes += size
        there.append(path)
    count.present = len(there)
    if most is not None and most < len(there):
        there = random.Random(seed).sample(there, most)
    for path in there:
        try:
            _ = read_image(path) if kind == CAMERA else read_lidar(path)
        except DataError as error:
            count.corrupt.append(str(error))
        count.decoded += 1
    return count


def _check_maps(data: DataConfig, positions: dict[str, list[tuple[float, float]]]) -> dict[str, str]:
    """Locations whose map lacks a layer that scenes need, or does not hold the places where the ego was."""
    problems = {}
    for location, places in sorted(positions.items()):
        try:
            road_map = read_map(data.map_root(), location)
            for layer in SCENE_LAYERS:
                road_map.layer(layer)
            blocks = (Layer.ROADBLOCK, Layer.ROADBLOCK_CONNECTOR)
            off = [xy for xy in places if not any(len(road_map.near(block, *xy, MAP_RADIUS_M)) for block in blocks)]
            if off:
                x, y = off[0]
                raise DataError(
                    f"{road_map.path}: no road within {MAP_RADIUS_M:g} m of the ego at {len(off)} of {len(places)} "
                    f"places, such as x {x:.0f} m, y {y:.0f} m: is it the map of these logs, and is {road_map.crs} the "
                    "metric CRS they use?"
                )
        except DataError as error:
            problems[location] = str(error)
    return problems

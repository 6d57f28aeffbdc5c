"""One log of a world: driven, cut, rendered, written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely

from navforge.core.files import atomic_path
from navforge.town.build_map import build_map
from navforge.town.episode import Stage, play
from navforge.town.log_file import camera_path, frame_tokens, lidar_path, log_frames, write_log
from navforge.town.log_window import FUTURE, HISTORY, LogCut, cut_log, drivable_area
from navforge.town.map_file import METRIC_CRS, ORIGIN_M
from navforge.town.mirror import mirrored_frame, mirrored_town
from navforge.town.network import PlanConfig
from navforge.town.sensors import Rig, Scenery, build_scenery, calibration, look_of, render, render_cameras
from navforge.town.world import TownMap

EPISODE_S = 36.0
ATTEMPTS = 60
FIRST_DAY_US = 1_700_000_000_000_000
"""Time stamps begin here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlan:
    """What decides a log."""

    log_name: str
    split: str
    number: int
    """Of the log in its split."""
    location: str
    plan: PlanConfig
    seed: int
    frames: int
    sensors: str
    sensor_frames: str
    rig: Rig

    @property
    def scenes(self) -> int:
        """How many scenes the log has."""
        return self.frames - (HISTORY - 1) - FUTURE


@dataclass(frozen=True, slots=True)
class LogReport:
    """What a log holds, for the summary."""

    split: str
    scenes: int
    turns: int
    stops: int
    conflicts: int
    eventful: float


def town_of(location: str, plan: PlanConfig, seed: int) -> TownMap:
    """The town of one location in the world of this seed, as maps, logs and sensors show it."""
    town = _built(location, plan, seed)
    return mirrored_town(town) if plan.traffic == "left" else town


def _built(location: str, plan: PlanConfig, seed: int) -> TownMap:
    """The town as it is driven in: traffic keeps right."""
    number = list(METRIC_CRS).index(location)
    return build_map(
        location=location,
        crs=METRIC_CRS[location],
        origin=ORIGIN_M[location],
        plan=plan,
        seed=seed * 16 + number,
    )


def make_log(job: LogPlan, out: Path) -> tuple[LogReport, list[Path]]:
    """Drive, cut, render and write one log below the world folder; return its files as well, the frames last."""
    town = _shown(job.location, job.plan, job.seed)
    cut = drive_log(job)
    if job.plan.traffic == "left":
        cut = replace(cut, frames=[mirrored_frame(frame) for frame in cut.frames])
    paths = list(_write_sensors(job, cut, out))
    path = log_path(job, out)
    write_log(path, log_frames(job.log_name, town, cut.frames, calibration(job.rig.size)))
    return LogReport(job.split, cut.scenes, cut.turns, cut.stops, cut.conflicts, cut.eventful), [*paths, path]


def log_path(job: LogPlan, out: Path) -> Path:
    """Where the frames of a log lie."""
    return out / "navsim_logs" / job.split / f"{job.log_name}.pkl"


def drive_log(job: LogPlan) -> LogCut:
    """The first drive of this log's seed that is good and eventful enough."""
    stage, drivable = _stage(job.location, job.plan, job.seed)
    split = sum(ord(letter) << (8 * k) for k, letter in enumerate(job.split[:3]))
    # Some logs may be calm, the others have to be eventful; in half of them ego turns.
    wanted, turning = (0.25, 0.0) if job.number % 5 == 4 else (0.42, 0.4 * (job.number % 2))
    for attempt in range(ATTEMPTS):
        seed = (job.seed, split, job.number, attempt)
        episode = play(stage, seed, EPISODE_S)
        rng = np.random.default_rng([*seed, 11])
        day = FIRST_DAY_US + (job.number * 3 + split % 7) * 3_600_000_000
        cut = cut_log(stage, drivable, episode, job.frames, wanted, turning, rng, day)
        if cut is not None:
            return cut
        if attempt % 15 == 14:
            wanted, turning = 0.8 * wanted, 0.5 * turning
    raise RuntimeError(f"no good drive for {job.log_name} in {ATTEMPTS} attempts (seed {job.seed}); give another seed")


def _write_sensors(job: LogPlan, cut: LogCut, out: Path) -> Iterator[Path]:
    """Write sensor files; yield the path of each."""
    if job.sensors == "none":
        return
    scenery = _scenery(job.location, job.plan, job.seed)
    blobs = out / "sensor_blobs" / job.split
    tokens = frame_tokens(job.log_name, len(cut.frames))
    look = look_of(job.seed * 1_000_003 + hash_of(job.log_name), job.plan.style)
    for n in sensor_frame_numbers(len(cut.frames), job.sensor_frames):
        snapshot = cut.frames[n].snapshot
        if job.sensors == "all":
            files = render(scenery, snapshot, job.rig, look)
            images, sweep = files.cameras, files.lidar
        else:
            images, sweep = render_cameras(scenery, snapshot, job.rig, look), None
        for camera, data in images.items():
            yield _write(blobs / camera_path(job.log_name, camera, tokens[n]), data)
        if sweep is not None:
            yield _write(blobs / lidar_path(job.log_name, tokens[n]), sweep)


@lru_cache(maxsize=4)
def _stage(location: str, plan: PlanConfig, seed: int) -> tuple[Stage, shapely.Geometry]:
    town = _built(location, plan, seed)
    return Stage.of(town), drivable_area(town)


@lru_cache(maxsize=4)
def _scenery(location: str, plan: PlanConfig, seed: int) -> Scenery:
    return build_scenery(_shown(location, plan, seed), plan.style)


@lru_cache(maxsize=4)
def _shown(location: str, plan: PlanConfig, seed: int) -> TownMap:
    return town_of(location, plan, seed)


def _write(path: Path, data: bytes) -> Path:
    with atomic_path(path) as partial:
        partial.write_bytes(data)
    return path


def hash_of(name: str) -> int:
    """A small number that depends on the name only."""
    return int(frame_tokens(name, 1)[0][:7], 16)


def sensor_frame_numbers(count: int, which: str) -> range:
    """Frames of a log of `count` frames that get sensor data."""
    if which == "all":
        return range(count)
    last = count - FUTURE
    return range(0, last) if which == "history" else range(HISTORY - 1, last)

"""`generate`: a whole world on disk, maps, logs and sensor data, the same bytes for the same configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import shapely

from navforge.core import parallel
from navforge.core.files import atomic_path
from navforge.town.build_map import build_map
from navforge.town.episode import Stage, play
from navforge.town.log_file import camera_path, frame_tokens, lidar_path, log_frames, write_log
from navforge.town.log_window import FUTURE, HISTORY, LogCut, cut_log, drivable_area
from navforge.town.map_file import METRIC_CRS, ORIGIN_M, write_maps
from navforge.town.network import PlanConfig
from navforge.town.sensors import Rig, Scenery, build_scenery, calibration, look_of, render, render_cameras
from navforge.town.sensors.rays import embree
from navforge.town.world import TownMap

EPISODE_S = 36.0
ATTEMPTS = 60
FIRST_DAY_US = 1_700_000_000_000_000
"""Time stamps begin here."""


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """One split of a scale: where its logs are driven, how many, how long."""

    name: str
    logs: int
    frames: int
    """Per log, at 2 Hz."""
    places: tuple[str, ...]
    """Map locations; logs go round."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Size of a world."""

    towns: dict[str, PlanConfig]
    """Street plan per map location; the other locations get an empty map."""
    splits: tuple[SplitPlan, ...]


PITTSBURGH, VEGAS, BOSTON = "us-pa-pittsburgh-hazelwood", "us-nv-las-vegas-strip", "us-ma-boston"

SCALES = {
    "tiny": Scale(
        {PITTSBURGH: PlanConfig(rows=3, columns=4), BOSTON: PlanConfig(rows=3, columns=4)},
        (
            SplitPlan("train", 2, 18, (PITTSBURGH,)),
            SplitPlan("val", 1, 16, (BOSTON,)),
            SplitPlan("test", 1, 18, (BOSTON,)),
        ),
    ),
    "small": Scale(
        {
            PITTSBURGH: PlanConfig(rows=5, columns=5),
            VEGAS: PlanConfig(rows=5, columns=5),
            BOSTON: PlanConfig(rows=5, columns=5),
        },
        (
            SplitPlan("train", 48, 27, (PITTSBURGH, VEGAS)),
            SplitPlan("val", 4, 27, (BOSTON,)),
            SplitPlan("test", 10, 27, (BOSTON,)),
        ),
    ),
    "large": Scale(
        {
            PITTSBURGH: PlanConfig(rows=8, columns=8),
            VEGAS: PlanConfig(rows=8, columns=8),
            BOSTON: PlanConfig(rows=7, columns=7),
        },
        (
            SplitPlan("train", 400, 30, (PITTSBURGH, VEGAS)),
            SplitPlan("val", 30, 30, (BOSTON,)),
            SplitPlan("test", 90, 30, (BOSTON,)),
        ),
    ),
}
"""Sizes by name. Training and held-out logs (val, test) are driven in different cities."""


@dataclass(frozen=True, slots=True)
class Job:
    """One log to make."""

    out: Path
    split: str
    number: int
    log_name: str
    location: str
    plan: PlanConfig
    seed: int
    frames: int
    sensors: str
    sensor_frames: str
    rig: Rig


@dataclass(frozen=True, slots=True)
class LogReport:
    """What one log holds, for the summary."""

    split: str
    log_name: str
    scenes: int
    turns: int
    stops: int
    conflicts: int
    eventful: float
    attempts: int
    reused: bool


def town_of(location: str, plan: PlanConfig, seed: int) -> TownMap:
    """The town of one location in the world of this seed."""
    number = list(METRIC_CRS).index(location)
    return build_map(
        location=location,
        crs=METRIC_CRS[location],
        origin=ORIGIN_M[location],
        plan=plan,
        seed=seed * 16 + number,
    )


def jobs(out: Path, scale: Scale, *, seed: int, sensors: str, sensor_frames: str, rig: Rig) -> list[Job]:
    """Every log of a world."""
    found = []
    for split in scale.splits:
        for number in range(split.logs):
            location = split.places[number % len(split.places)]
            found.append(
                Job(
                    out=out,
                    split=split.name,
                    number=number,
                    log_name=f"town.{seed}.{split.name}.{number:04d}",
                    location=location,
                    plan=scale.towns[location],
                    seed=seed,
                    frames=split.frames,
                    sensors=sensors,
                    sensor_frames=sensor_frames,
                    rig=rig,
                )
            )
    return found


def generate(
    out: Path, scale: Scale, *, seed: int, sensors: str, sensor_frames: str, rig: Rig, workers: int
) -> Iterator[parallel.Outcome[Job, LogReport]]:
    """Write the maps, then yield the outcome of every log as it is done; logs already there are kept.

    Args:
        out: world folder, which then serves as OPENSCENE_DATA_ROOT, `out/maps` as NUPLAN_MAPS_ROOT.
        scale: its size.
        seed: of everything.
        sensors: `all`, `cameras` or `none`.
        sensor_frames: `all`, `history` (frames that belong to some scene's history or present) or `current`.
        rig: cameras and LiDAR.
        workers: processes; 0 means one per CPU.

    Raises:
        NavforgeError: sensors are to be rendered, and the package that does it is not installed.
    """
    if sensors != "none":
        embree("rtcore_scene")
    write_maps(out / "maps", [town_of(location, plan, seed) for location, plan in scale.towns.items()])
    todo = jobs(out, scale, seed=seed, sensors=sensors, sensor_frames=sensor_frames, rig=rig)
    yield from parallel.run(make_log, todo, workers=workers, label="town logs")


@lru_cache(maxsize=4)
def _stage(location: str, plan: PlanConfig, seed: int) -> tuple[Stage, shapely.Geometry]:
    town = town_of(location, plan, seed)
    return Stage.of(town), drivable_area(town)


@lru_cache(maxsize=4)
def _scenery(location: str, plan: PlanConfig, seed: int) -> Scenery:
    return build_scenery(_stage(location, plan, seed)[0].town)


def make_log(job: Job) -> LogReport:
    """Drive, cut, render and write one log."""
    stage, _ = _stage(job.location, job.plan, job.seed)
    cut, attempts = drive_log(job)
    path = job.out / "navsim_logs" / job.split / f"{job.log_name}.pkl"
    reused = path.exists()
    if not reused:
        _write_sensors(job, cut)
        write_log(path, log_frames(job.log_name, stage.town, cut.frames, calibration(job.rig.size)))
    return LogReport(
        job.split, job.log_name, cut.scenes, cut.turns, cut.stops, cut.conflicts, cut.eventful, attempts, reused
    )  # fmt: skip


def drive_log(job: Job) -> tuple[LogCut, int]:
    """The first drive of this log's seed that is good and eventful enough, and how many were tried."""
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
            return cut, attempt + 1
        if attempt % 15 == 14:
            wanted, turning = 0.8 * wanted, 0.5 * turning
    raise RuntimeError(f"no good drive for {job.log_name} in {ATTEMPTS} attempts (seed {job.seed}); give another seed")


def _write_sensors(job: Job, cut: LogCut) -> None:
    if job.sensors == "none":
        return
    scenery = _scenery(job.location, job.plan, job.seed)
    blobs = job.out / "sensor_blobs" / job.split
    tokens = frame_tokens(job.log_name, len(cut.frames))
    look = look_of(job.seed * 1_000_003 + hash_of(job.log_name))
    for n in sensor_frame_numbers(len(cut.frames), job.sensor_frames):
        snapshot = cut.frames[n].snapshot
        if job.sensors == "all":
            files = render(scenery, snapshot, job.rig, look)
            images, sweep = files.cameras, files.lidar
        else:
            images, sweep = render_cameras(scenery, snapshot, job.rig, look), None
        for camera, data in images.items():
            _write(blobs / camera_path(job.log_name, camera, tokens[n]), data)
        if sweep is not None:
            _write(blobs / lidar_path(job.log_name, tokens[n]), sweep)


def hash_of(name: str) -> int:
    """A small number that depends on the name only."""
    return int(frame_tokens(name, 1)[0][:7], 16)


def sensor_frame_numbers(count: int, which: str) -> range:
    """Frames of a log of `count` frames that get sensor data."""
    if which == "all":
        return range(count)
    last = count - FUTURE
    return range(0, last) if which == "history" else range(HISTORY - 1, last)


def _write(path: Path, data: bytes) -> None:
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def summarise(reports: list[LogReport]) -> list[dict[str, object]]:
    """Per split: logs, scenes, shares of scenes with turns, stops and conflicts, mean eventfulness."""
    rows = []
    for split in dict.fromkeys(report.split for report in reports):
        logs = [report for report in reports if report.split == split]
        scenes = sum(report.scenes for report in logs)
        rows.append(
            {
                "split": split,
                "logs": len(logs),
                "scenes": scenes,
                **{
                    name: sum(dataclasses.asdict(report)[name] for report in logs) / scenes
                    for name in ("turns", "stops", "conflicts")
                },
                "eventful": sum(report.eventful * report.scenes for report in logs) / scenes,
            }
        )
    return rows

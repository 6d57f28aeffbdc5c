"""`generate`: a whole world on disk, maps, logs and sensor data, the same bytes for the same configuration."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core.build import Executor, Piece, Report, Result, build
from navforge.core.code import code_fingerprint
from navforge.core.errors import DataError
from navforge.core.files import file_fingerprint, fingerprint, write_json
from navforge.core.products import TOWN
from navforge.town.make_log import LogPlan, LogReport, make_log, town_of
from navforge.town.map_file import write_maps
from navforge.town.scales import Scale
from navforge.town.sensors import Rig
from navforge.town.sensors.rays import embree

FORMAT = 1
"""Number of the layout of manifest and records."""
CODE = "navforge.town.make_log"
"""Module that decides, with all it imports, what a log holds."""


@dataclass(frozen=True, kw_only=True)
class TownLog(Piece[LogReport]):
    """A log with its sensor files; its record, which is written last, has the checksum of each."""

    product = TOWN
    plan: LogPlan

    @property
    def path(self) -> Path:
        """The record."""
        return self.out / "records" / f"{self.name}.json"

    @property
    def key(self) -> str:
        """Fingerprint of what decides the log."""
        return fingerprint(FORMAT, self.code, dataclasses.asdict(self.plan))

    def code_here(self) -> str:
        """Fingerprint of the code of this process."""
        return code_fingerprint(CODE)

    def check(self) -> Result[LogReport]:
        """What the log holds; DataError if it was made from something else or a file of it is missing or changed."""
        try:
            record = json.loads(self.path.read_text("utf-8"))
            made, files, report = record["made"], dict(record["files"]), LogReport(**record["log"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{self.path} is damaged ({error})") from error
        if made != self.key:
            raise DataError("the code or the configuration changed")
        for name, checksum in files.items():
            path = self.out / name
            if not path.is_file() or file_fingerprint(path) != checksum:
                raise DataError(f"{name} is missing or changed")
        return self._result(report, files)

    def make(self) -> Result[LogReport]:
        """Write the log."""
        self.unpublish()
        report, paths = make_log(self.plan, self.out)
        files = {str(path.relative_to(self.out)): file_fingerprint(path) for path in paths}
        write_json(self.path, {"made": self.key, "log": dataclasses.asdict(report), "files": files})
        return self._result(report, files)

    def _result(self, report: LogReport, files: Iterable[str]) -> Result[LogReport]:
        return Result(report, report.scenes, sum((self.out / name).stat().st_size for name in files))


def plans(scale: Scale, *, seed: int, **options: Any) -> list[LogPlan]:
    """Every log of a world; `options` are those of `LogPlan`."""
    return [
        LogPlan(
            log_name=f"town.{seed}.{split.name}.{number:04d}",
            split=split.name,
            number=number,
            location=location,
            plan=scale.towns[location],
            seed=seed,
            frames=split.frames,
            **options,
        )
        for split in scale.splits
        for number in range(split.logs)
        for location in [split.places[number % len(split.places)]]
    ]


def generate(
    out: Path,
    scale: Scale,
    *,
    seed: int,
    sensors: str,
    sensor_frames: str,
    rig: Rig,
    workers: int = 0,
    executor: Executor | None = None,
) -> Report[LogReport]:
    """Write the maps, then every log that is not there and whole, then the manifest.

    Args:
        out: world folder, which then serves as OPENSCENE_DATA_ROOT, `out/maps` as NUPLAN_MAPS_ROOT.
        scale: its size.
        seed: of everything.
        sensors: `all`, `cameras` or `none`.
        sensor_frames: `all`, `history` (frames that belong to some scene's history or present) or `current`.
        rig: cameras and LiDAR.
        workers: processes; 0 means one per CPU.
        executor: makes the logs; None: processes of this machine.

    Raises:
        NavforgeError: sensors are to be rendered, and the package that does it is not installed.
    """
    if sensors != "none":
        embree("rtcore_scene")
    write_maps(out / "maps", [town_of(location, plan, seed) for location, plan in scale.towns.items()])
    code = code_fingerprint(CODE)
    pieces = [
        TownLog(name=plan.log_name, scenes=plan.scenes, out=out, code=code, plan=plan)
        for plan in plans(scale, seed=seed, sensors=sensors, sensor_frames=sensor_frames, rig=rig)
    ]

    def publish(logs: Mapping[str, LogReport]) -> None:
        plain = {name: dataclasses.asdict(report) for name, report in logs.items()}
        write_json(out / TOWN.manifest, {"format": FORMAT, "code": code, "logs": plain})

    return build(pieces, publish, executor=executor, workers=workers)


def summarise(reports: Iterable[LogReport]) -> list[dict[str, object]]:
    """Per split: logs, scenes, shares of scenes with turns, stops and conflicts, mean eventfulness."""
    rows = []
    reports = list(reports)
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

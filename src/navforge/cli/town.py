"""`navforge town`: write the embedded procedural world."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from navforge.core import config as configs
from navforge.core import provenance
from navforge.core.config import key
from navforge.core.errors import ConfigError, NavforgeError
from navforge.core.failures import FAILURES, Failure, describe_failures, write_failures
from navforge.core.outside.text import read_yaml
from navforge.core.products import TOWN, claim
from navforge.core.screen import Screen
from navforge.town.generate import SCALES, LogReport, generate, summarise
from navforge.town.sensors import Rig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge town`."""

    out: Path = key(help="world folder; afterwards OPENSCENE_DATA_ROOT=out and NUPLAN_MAPS_ROOT=out/maps")
    scale: str = key(
        "small", "size: tiny for tests, small for the demo, large for real training", choices=tuple(SCALES)
    )
    seed: int = key(0, "another seed is another world", low=0, high=1_000_000)
    sensors: str = key("all", "what to render", choices=("all", "cameras", "none"))
    sensor_frames: str = key(
        "history",
        "frames that get sensor data: history: those in some scene's history or present, as NAVSIM's own downloads; "
        "current: only present frames, for planners that look at one frame; all: also what is only some future",
        choices=("all", "history", "current"),
    )
    image_width: int = key(480, "camera image width; official 1920", unit="px", low=64, high=3840)
    image_height: int = key(270, "camera image height; official 1080", unit="px", low=36, high=2160)
    workers: int = key(0, "processes; 0 means one per CPU", low=0)


def run(config: Config) -> None:
    """Write the world, skipping logs an interrupted run of the same configuration finished; print what it holds."""
    with claim(config.out, TOWN):
        reports = _generate(config)
    reports.sort(key=lambda report: report.log_name)
    _print_summary(config, reports)


def _generate(config: Config) -> list[LogReport]:
    """Write what is missing of the world; NavforgeError if any log failed."""
    _require_own(config)
    reports: list[LogReport] = []
    failures: list[Failure] = []
    for outcome in generate(
        config.out,
        SCALES[config.scale],
        seed=config.seed,
        sensors=config.sensors,
        sensor_frames=config.sensor_frames,
        rig=Rig(width=config.image_width, height=config.image_height),
        workers=config.workers,
    ):
        if outcome.result is not None:
            reports.append(outcome.result)
        else:
            failures.append(Failure(None, outcome.item.log_name, str(outcome.error), str(outcome.traceback)))
    write_failures(config.out / FAILURES, failures)
    if failures:
        raise NavforgeError(
            f"{len(failures)} of {len(failures) + len(reports)} logs failed (tracebacks: {config.out / FAILURES}):\n"
            f"{describe_failures(failures)}\nfinished logs are kept; remove the cause and run the same command again"
        )
    return reports


def _require_own(config: Config) -> None:
    """Refuse a folder that holds another world; mark this one."""
    marker = config.out / "town.config.yaml"
    if marker.exists():
        there, wanted = read_yaml(marker, "town config"), configs.to_dict(config)
        if not isinstance(there, dict):
            raise ConfigError(f"out: {marker} holds no keys; delete the folder or give another out")
        different = [name for name in wanted if name not in ("out", "workers") and there.get(name) != wanted[name]]
        if different:
            raise ConfigError(
                f"out: {config.out} holds a world of another configuration ("
                + ", ".join(f"{name} is {there.get(name)}" for name in different)
                + "); delete the folder or give another out"
            )
    provenance.record(config.out, config, name="town")


def _print_summary(config: Config, reports: list[LogReport]) -> None:
    table = Table("split", "logs", "scenes", "turns", "stops", "conflicts", "eventful", box=None)
    for row in summarise(reports):
        shares = (f"{100 * float(str(row[name])):.0f} %" for name in ("turns", "stops", "conflicts", "eventful"))
        table.add_row(str(row["split"]), str(row["logs"]), str(row["scenes"]), *shares)
    console = Screen()
    console.print(table)
    console.print(
        f"\n{config.out}: turns, stops, conflicts are shares of scenes; eventful is how far constant velocity goes "
        f"wrong (0-100 %).\nuse it with OPENSCENE_DATA_ROOT={config.out} NUPLAN_MAPS_ROOT={config.out / 'maps'}",
        highlight=False,
        soft_wrap=True,
    )

"""`navforge town`: write the embedded procedural world."""

from __future__ import annotations

import dataclasses

from rich.table import Table

from navforge.cli.keys.executors import ExecutorKeys
from navforge.cli.keys.town import Config
from navforge.cli.notices import print_report
from navforge.core import config as configs
from navforge.core import provenance
from navforge.core.errors import ConfigError
from navforge.core.outside.text import read_yaml
from navforge.core.products import TOWN, claim
from navforge.core.screen import Screen
from navforge.town.generate import LogReport, generate, summarise
from navforge.town.sensors import Rig


def run(config: Config) -> None:
    """Write the world, keeping logs that are there and whole; print what it holds."""
    with claim(config.out, TOWN):
        _require_own(config)
        report = generate(
            config.out,
            config.world,
            seed=config.seed,
            sensors=config.sensors,
            sensor_frames=config.sensor_frames,
            rig=Rig(width=config.image_width, height=config.image_height),
            workers=config.workers,
            executor=config.pick_executor(),
        )
    print_report(report)
    _print_summary(config, [result.entry for result in report.results.values() if result.entry is not None])


def _require_own(config: Config) -> None:
    """Refuse a folder that holds another world; mark this one."""
    marker = config.out / "town.config.yaml"
    if marker.exists():
        there, asked = read_yaml(marker, "town config"), configs.to_dict(config)
        if not isinstance(there, dict):
            raise ConfigError(f"out: {marker} holds no keys; delete the folder or give another out")
        free = {"out", *(field.name for field in dataclasses.fields(ExecutorKeys))}
        different = [name for name in asked if name not in free and there.get(name) != asked[name]]
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

"""`navforge data check`: what of each split is really on disk."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from navforge.cli.keys.data_check import Config
from navforge.core import provenance
from navforge.core.errors import DataError
from navforge.core.files import write_json
from navforge.core.screen import Screen
from navforge.data.check import KINDS, FileCount, SplitCheck, check_split
from navforge.data.splits import load_split


def run(config: Config) -> None:
    """Print one table per split; DataError at the end if something is missing or damaged."""
    checks = [_check(split, config) for split in _splits(config)]
    console = Screen()
    for check in checks:
        console.print(_table(check, config))
    if config.out is not None:
        write_json(config.out / "data_check.json", [_plain(check) for check in checks])
        provenance.record(config.out, config, name="data_check")
    problems = [problem for check in checks for problem in check.problems]
    if problems and not config.allow_missing:
        raise DataError("the data is not complete: " + "; ".join(problems))


def _splits(config: Config) -> list[str]:
    if config.split is not None:
        return [config.split]
    root = config.data.log_root()
    folders = sorted(path.name for path in root.iterdir() if path.is_dir() and any(path.glob("*.pkl")))
    if not folders:
        raise DataError(f"{root} holds no folder with .pkl logs")
    return folders


def _check(split: str, config: Config) -> SplitCheck:
    loaded = load_split(split, config.data, allow_missing=True, workers=config.workers)
    return check_split(loaded, config.data, frames=config.frames, sample=config.sample, workers=config.workers)


def _table(check: SplitCheck, config: Config) -> Table:
    split = check.split
    table = Table(show_header=False, title=f"split {split.name}", title_justify="left", box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    missing_logs = f", {len(split.missing_logs)} missing or unreadable" if split.missing_logs else ""
    table.add_row("logs", f"{len(split.logs)}{missing_logs}")
    table.add_row("scenes", f"{len(split):,}" + (f", {len(split.missing):,} missing" if split.missing else ""))
    table.add_row("hash", split.hash)
    table.add_row("frames", f"{check.frames:,} ({config.frames})")
    if dropped := split.describe_dropped():
        table.add_row("dropped", dropped)
    for text in split.describe_doubts():
        table.add_row("implausible", text)
    for kind in KINDS:
        count = check.files[kind]
        table.add_row(
            f"{kind} files", _count(count) if check.sensors_checked else "not checked: data.sensors is not set"
        )
    for location, scenes in sorted(check.locations.items()):
        state = check.map_problems.get(location, "map readable")
        if not check.maps_checked:
            state = "map not checked: data.maps is not set"
        table.add_row("map", f"{location}: {scenes:,} scenes, {state}")
    sensor_bytes = sum(count.bytes for count in check.files.values())
    table.add_row("disk", f"logs {_size(check.log_bytes)}, sensor files {_size(sensor_bytes)}")
    return table


def _count(count: FileCount) -> str:
    return (
        f"{count.present:,} of {count.expected:,} present, {len(count.missing):,} missing, "
        f"{len(count.corrupt):,} corrupt of {count.decoded:,} decoded"
    )


def _size(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def _plain(check: SplitCheck) -> dict[str, Any]:
    return {
        "split": check.split.name,
        "hash": check.split.hash,
        "logs": len(check.split.logs),
        "scenes": len(check.split),
        "frames": check.frames,
        "missing_scenes": list(check.split.missing),
        "missing_logs": check.split.missing_logs,
        "locations": check.locations,
        "map_problems": check.map_problems if check.maps_checked else None,
        "log_bytes": check.log_bytes,
        "sensors": {kind: vars(count) for kind, count in check.files.items()} if check.sensors_checked else None,
        "dropped_windows": check.split.dropped,
        "implausible_scenes": {doubt.value: texts for doubt, texts in check.split.doubts.items()},
        "unreadable_logs": check.unreadable,
        "problems": check.problems,
    }

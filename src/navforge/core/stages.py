"""A chain of stages that picks up where it stopped: what the demo runs.

A stage that ran leaves a stamp: what went into it (its config, the sources of the modules it runs, the stamps of the
stages before it) and the files it made. It is skipped as long as all of that is unchanged and the files are whole.
"""

from __future__ import annotations

import inspect
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from navforge.core import config as configs
from navforge.core.code import sources_hash
from navforge.core.errors import ConfigError
from navforge.core.files import fingerprint, write_json, write_text

_IRRELEVANT = ("workers", "batch_size", "device")
"""Keys that change how fast a stage is, not what it makes."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step: a verb's function with its config."""

    name: str
    run: Callable[[Any], object]
    config: Any
    outputs: tuple[Path, ...]
    """Files and folders it makes; at least one."""
    needs: tuple[str, ...] = ()
    """Names of earlier stages whose output it reads."""
    resumable: bool = False
    """The verb resumes from partial output of an interrupted run; otherwise partial output is deleted first."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How one stage went."""

    name: str
    seconds: float
    """What it took when it ran."""
    skipped: bool


def run_stages(stages: Sequence[Stage], stamps: Path, console: Console) -> list[Timing]:
    """Run the stages in order, each unless its stamp in the folder `stamps` still fits.

    Raises:
        ConfigError: a stage that never ran would write where something already is; nothing ran then.
    """
    for stage in stages:
        _check_own(stage, stamps / f"{stage.name}.json")
    keys: dict[str, str] = {}
    timings = []
    for number, stage in enumerate(stages, 1):
        keys[stage.name] = _key(stage, keys)
        stamp = stamps / f"{stage.name}.json"
        seconds = _done(stage, stamp, keys[stage.name])
        label = f"[{number}/{len(stages)}] {stage.name}"
        if seconds is not None:
            console.print(f"{label}: done before ({seconds:.0f} s)")
            timings.append(Timing(name=stage.name, seconds=seconds, skipped=True))
            continue
        console.print(f"{label} ...")
        stamp.unlink(missing_ok=True)
        _prepare(stage, stamp.with_suffix(".started"), keys[stage.name])
        start = time.perf_counter()
        stage.run(stage.config)
        seconds = time.perf_counter() - start
        made = {str(path): _contents(path) for path in stage.outputs}
        absent = [path for path, contents in made.items() if contents is None]
        if absent:
            raise RuntimeError(f"stage {stage.name} ended without making {', '.join(absent)}")
        write_json(stamp, {"key": keys[stage.name], "seconds": seconds, "outputs": made})
        console.print(f"{label}: {seconds:.0f} s")
        timings.append(Timing(name=stage.name, seconds=seconds, skipped=False))
    return timings


def _check_own(stage: Stage, stamp: Path) -> None:
    """Raise ConfigError if an output is there although the stage never ran: it is the user's, and would be deleted."""
    if stamp.is_file() or stamp.with_suffix(".started").is_file():
        return
    for path in stage.outputs:
        if any(path.iterdir()) if path.is_dir() else path.exists():
            raise ConfigError(f"out: {path} exists and was not made by navforge demo; give another out=")


def _prepare(stage: Stage, started: Path, key: str) -> None:
    """Delete what is left of another run; keep what an interrupted run of the same stage can go on from."""
    if not (stage.resumable and started.is_file() and started.read_text() == key):
        for path in stage.outputs:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    write_text(started, key)


def timing_table(timings: Sequence[Timing]) -> Table:
    """Stages with their seconds, and the sum of what ran now."""
    table = Table("stage", "seconds", "", title="time per stage", title_justify="left")
    for timing in timings:
        table.add_row(timing.name, f"{timing.seconds:.1f}", "earlier run" if timing.skipped else "")
    table.add_row("this run", f"{sum(t.seconds for t in timings if not t.skipped):.1f}", "", style="bold")
    return table


def _key(stage: Stage, keys: dict[str, str]) -> str:
    values = {name: value for name, value in configs.to_dict(stage.config).items() if name not in _IRRELEVANT}
    before = [keys[name] for name in stage.needs]
    return fingerprint(stage.name, values, sources_hash(inspect.getsourcefile(stage.run) or ""), before)


def _done(stage: Stage, stamp: Path, key: str) -> float | None:
    """Seconds of the run that made the outputs, if they are whole and fit; else None."""
    try:
        stamped = json.loads(stamp.read_text())
    except (OSError, json.JSONDecodeError):
        return None
    if stamped["key"] != key or set(stamped["outputs"]) != {str(path) for path in stage.outputs}:
        return None
    whole = all(_contents(Path(path)) == contents for path, contents in stamped["outputs"].items())
    return float(stamped["seconds"]) if whole else None


def _contents(path: Path) -> list[int] | None:
    """[files, bytes] of a file or folder; None if it is not there or empty."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return [len(files), sum(p.stat().st_size for p in files)] if files else None

"""Speeds that were recorded: histories of run folders and reports of preflights, by device, nodes and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from navforge.core.config import differences
from navforge.core.errors import ConfigError, DataError
from navforge.core.outside.text import read_json
from navforge.jobs.curves import read_columns
from navforge.jobs.view import find_runs
from navforge.preflight.estimate import QUIET, Estimate
from navforge.preflight.record import FILE
from navforge.runs.folder import RunFolder
from navforge.runs.status import Attempt, read_attempts
from navforge.training.run_base import RunBase
from navforge.training.run_config import read_run_config, run_config_from_dict


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast one start of a run learned, or one rank in a preflight."""

    title: str
    """What was trained."""
    setting: dict[str, Any]
    """What decides the speed but device and ranks; see `setting`."""
    device: str
    """Name of the GPU as torch has it, or `CPU`."""
    nodes: int
    devices: int
    """Ranks per node."""
    samples_per_s: Estimate
    """Of all ranks together."""
    source: Path

    @property
    def ranks(self) -> int:
        """In all."""
        return self.nodes * self.devices


@dataclass(frozen=True, kw_only=True)
class Records:
    """All that was recorded below a folder."""

    speeds: tuple[Speed, ...] = ()
    unused: tuple[str, ...] = ()
    """What could not be used, and why."""


def setting(config: RunBase) -> dict[str, Any]:
    """What decides how fast a run learns, but device and ranks: planner, batch, arithmetic, what is read."""
    names = ("batch_size", "accumulate", "precision", "strategy", "compile", "keep_inputs")
    packed = {name for name in ("store", "features", "align.features") if config.files.get(name) is not None}
    train = {f"train.{name}": getattr(config.train, name) for name in names}
    return {"planner": config.subject, **train, "read from": sorted(packed)}


def without_same_setting(records: Records, config: RunBase) -> list[str]:
    """Why speeds of runs with the same name do not count for a run: what differs, once for each difference."""
    own = setting(config)
    other = [speed for speed in records.speeds if speed.title == config.title and speed.setting != own]
    reasons: dict[str, list[str]] = {}
    for speed in other:
        changes = differences(speed.setting, own, "")
        shown = ", ".join(changes[:3]) + (", ..." if len(changes) > 3 else "")
        reasons.setdefault(shown, []).append(str(speed.source))
    return [f"{', '.join(dict.fromkeys(sources))}: differs in {shown}" for shown, sources in reasons.items()]


def read_records(root: Path) -> Records:
    """Speeds of all runs below a folder, and of preflight reports (`json=`) that lie in it; none without the folder."""
    if not root.is_dir():
        return Records()
    speeds: list[Speed] = []
    unused: list[str] = []
    for folder in find_runs(root):
        try:
            speeds += _of_run(folder)
        except (DataError, ConfigError) as error:  # of other versions, or damaged
            unused.append(str(error))
    for path in sorted(root.glob("*.json")):
        try:
            speeds += of_report(read_json(path, "preflight report"), path)
        except (DataError, ConfigError) as error:
            unused.append(str(error))
    return Records(speeds=tuple(speeds), unused=tuple(unused))


def of_report(values: Any, path: Path) -> Iterator[Speed]:
    """The speed of one rank that a preflight measured, if it measured one.

    Args:
        values: `preflight.finding.Report.to_dict`.
        path: where they were read.

    Raises:
        DataError: the figures are damaged.
        ConfigError: the run is of another version.
    """
    figures = values.get("figures") if isinstance(values, dict) else None
    if not isinstance(figures, dict) or "run" not in values or "rank_samples_per_s" not in figures:
        return
    config = run_config_from_dict(values["run"], path)
    try:
        rate = Estimate(*map(float, (figures["rank_samples_per_s"], *figures["rank_samples_per_s_range"])))
        device = str(figures["measured_on"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: figures are damaged ({error}); run navforge preflight again") from error
    if not 0 < rate.low <= rate.value <= rate.high < math.inf:
        raise DataError(f"{path}: rank_samples_per_s is no range of speeds; run navforge preflight again")
    yield _speed(config, device=device, nodes=1, devices=1, rate=rate, source=path)


def _of_run(folder: RunFolder) -> Iterator[Speed]:
    """One speed per start that trained long enough to have one."""
    config = read_run_config(folder.config)
    if (path := folder.path / FILE).is_file():
        yield from of_report(read_json(path, "preflight record"), path)
    history = read_columns(folder.history)
    attempts = sorted(read_attempts(folder.attempts), key=lambda attempt: attempt.time)
    ends = [attempt.time for attempt in attempts[1:]] + [math.inf]
    for attempt, end in zip(attempts, ends, strict=True):
        rate = _rate(history, attempt, end)
        if rate is not None and attempt.device is not None and attempt.nodes is not None:
            devices = attempt.world_size // attempt.nodes
            yield _speed(
                config, device=attempt.device, nodes=attempt.nodes, devices=devices, rate=rate, source=folder.path
            )


def _rate(history: dict[str, list[float]], attempt: Attempt, end: float) -> Estimate | None:
    """Samples per second between a start and the next: the median over time, from the slow tenth to the fast one."""
    times, rates = history.get("time", []), history.get("samples_per_s", [])
    own = [rate for time, rate in zip(times, rates, strict=True) if attempt.time <= time < end and 0 < rate < math.inf]
    if not own:
        return None
    value = median(own)
    tenths = quantiles(own, n=10) if len(own) > 1 else [value] * 9
    return Estimate(value, min(max(0.0, tenths[0]), (1 - QUIET) * value), max(tenths[-1], (1 + QUIET) * value))


def _speed(config: RunBase, *, device: str, nodes: int, devices: int, rate: Estimate, source: Path) -> Speed:
    return Speed(
        title=config.title,
        setting=setting(config),
        device=device,
        nodes=nodes,
        devices=devices,
        samples_per_s=rate,
        source=source,
    )

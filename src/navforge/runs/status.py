"""Heartbeats, failures and attempts: what ranks write and `navforge jobs` and `navforge diagnose` read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from navforge.core.errors import DataError
from navforge.core.files import write_json
from navforge.core.outside.records import record
from navforge.core.outside.text import parse_json, read_json, read_text

PHASES = ("starting", "rendezvous", "preflight", "smoke", "training", "validating", "finished", "stopped", "failed")
"""`stopped`: ended on a signal after a checkpoint; `failed`: see the rank's Failure."""

CAUSES = {
    "rendezvous": "ranks did not meet",
    "preflight": "refused by the preflight on the node",
    "evaluation": "the evaluation of the planner failed",
    "non_finite": "a loss or gradient was not finite",
    "corrupt_sample": "a scene could not be read",
    "gpu_memory": "out of GPU memory",
    "host_memory": "out of host memory",
    "disk_full": "no room on the disk",
    "user_error": "something that was asked for is wrong",
    "peer": "another rank was gone",
    "error": "a rank ended with an error",
}
"""What a rank itself can tell of its end, in words; the rest (signals, limits, nodes) only the outside knows.

`peer`: another rank was gone; what ended that one ended the run.
"""


@dataclass(frozen=True, kw_only=True)
class RankStatus:
    """One heartbeat of one rank."""

    rank: int
    world_size: int
    node: str
    pid: int
    attempt: int
    """0 for the first start."""
    job: str | None
    """Slurm job id, or None."""
    phase: str
    """One of PHASES."""
    time: float
    """When this was written, s since 1970."""
    started: float
    """When the rank started, s since 1970."""
    moved: float | None = None
    """When the phase or the step last changed, s since 1970: heartbeats go on while a step hangs, this does not."""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    """Optimiser steps done in all."""
    total_steps: int = 0
    samples_per_s: float | None = None
    """Of all ranks together, over the last heartbeats."""
    waiting: float | None = None
    """Share of the time the step waited for data."""
    loss: float | None = None
    host_bytes: int = 0
    """Resident memory of the rank and its loader workers (shared pages counted once where the kernel tells)."""
    gpu_bytes: int = 0
    """Largest memory torch held on the GPU."""
    eta_s: float | None = None
    corrupt_samples: int = 0
    """Distinct scenes so far, of all ranks, that could not be read and were replaced (`train.tolerate_corrupt`)."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What ended a rank."""

    rank: int
    attempt: int
    cause: str
    """One of CAUSES."""
    error: str
    """Type and message."""
    traceback: str
    time: float
    step: int = 0
    tokens: tuple[str, ...] = field(default=())
    """Scenes concerned, where known."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One start of a run, written by rank 0."""

    attempt: int
    job: str | None
    world_size: int
    time: float
    resumed_step: int
    """Optimiser steps the attempt began with."""
    nodes: int | None = None
    device: str | None = None
    """Name of rank 0's GPU as torch has it, or `CPU`; None, as `nodes`, where an earlier version wrote it."""


RecordT = TypeVar("RecordT")


def write(path: Path, record: RankStatus | Failure) -> None:
    """Replace a record atomically."""
    write_json(path, asdict(record))


def append_line(path: Path, entry: Any) -> None:
    """Add a record to a file with one JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(entry)) + "\n")


def read(path: Path, kind: type[RecordT]) -> RecordT | None:
    """A record, or None where there is none; what is not known of it is left out, for the run may be of newer code.

    Raises:
        DataError: the file is damaged.
    """
    if not path.exists():
        return None
    values = read_json(path, "record")
    try:
        return record(kind, values, newer=True)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error


def read_attempts(path: Path) -> list[Attempt]:
    """Every start, oldest first; a last line cut off by a kill is left out.

    Raises:
        DataError: another line is damaged.
    """
    return read_lines(path, Attempt)


def read_lines(path: Path, kind: type[RecordT]) -> list[RecordT]:
    """Records of a file with one JSON object per line; none where there is no file.

    Raises:
        DataError: a line before the last is damaged.
    """
    if not path.exists():
        return []
    lines = read_text(path, "record", empty=True).splitlines()
    records = []
    for number, line in enumerate(lines):
        try:
            records.append(record(kind, parse_json(line), newer=True))
        except ValueError as error:
            if number + 1 < len(lines):
                raise DataError(f"{path}, line {number + 1} is damaged: {error}") from error
    return records

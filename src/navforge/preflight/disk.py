"""Room and right to write: checkpoints, logs, the run folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from navforge.core.sizes import write_size
from navforge.preflight.finding import Finding, ok, refused
from navforge.preflight.steps import MOMENTS

DISK, WRITABLE = "disk", "run_folder"
LOGS_BYTES = 1 << 28
"""Allowance for logs, curves and the code snapshot."""


def checkpoint_bytes(state_bytes: int, trainable: int) -> int:
    """Size of one checkpoint of a planner: the weights that it holds, and the moments of all that learns."""
    return state_bytes + 4 * MOMENTS * trainable


def check_disk(checkpoint: int, keep_best: int, free: int, folder: Path) -> Iterator[Finding]:
    """The last two checkpoints, the best ones and the one being written against the free space."""
    files = 2 + keep_best + 1
    needed = files * checkpoint + LOGS_BYTES
    shown = (
        f"{files} checkpoints of {write_size(checkpoint)} and logs: {write_size(needed)}; {folder} has "
        f"{write_size(free)} free"
    )
    if needed > free:
        yield refused(DISK, shown, "make room, give an out= on another disk, or a smaller train.keep_best")
    else:
        yield ok(DISK, shown)


def check_writable(out: Path) -> Iterator[Finding]:
    """The run folder, or the nearest folder above it that exists, takes files."""
    folder = existing_folder(out)
    if not folder.is_dir():
        yield refused(WRITABLE, f"{folder} is a file where a folder is expected", "give another out=")
        return
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".preflight."):
            pass
    except OSError as error:
        yield refused(
            WRITABLE, f"{folder} cannot be written: {error.strerror}", "give an out= on a file system you may write to"
        )
        return
    yield ok(WRITABLE, f"{folder} can be written")


def free_bytes(out: Path) -> int:
    """Free space where the run folder is or will be."""
    return shutil.disk_usage(existing_folder(out)).free


def existing_folder(path: Path) -> Path:
    """The path itself or the nearest one above it that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path

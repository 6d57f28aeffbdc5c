"""What was run, with what, from which commit: written beside every output."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import navforge
from navforge.core import config as configs
from navforge.core.files import write_json, write_text

LIBRARIES = ("numpy", "numba", "scipy", "shapely", "polars", "torch", "torchvision", "timm", "lightning")

SNAPSHOT = "snapshot.json"
"""Beside a copied package: where it was taken from."""

_STARTED = datetime.datetime.now(datetime.UTC)


def collect(command: list[str] | None = None) -> dict[str, Any]:
    """Versions, git state, machine, times and command line of this process, as plain values.

    `started` is when the process loaded this module, `written` is now.
    """
    return {
        "navforge": importlib.metadata.version("navforge"),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "git": git_state(),
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count()},
        "started": _STARTED.isoformat(timespec="seconds"),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command if command is not None else sys.argv,
        "directory": str(Path.cwd()),
    }


def git_state() -> dict[str, Any]:
    """Commit and dirtiness of the checkout navforge runs from; commit None where it is not a checkout.

    A snapshot of the package (`launch.snapshot`) has that of the checkout it was taken from.
    """
    root = Path(navforge.__file__).resolve().parent
    if (root.parent / SNAPSHOT).is_file():
        return json.loads((root.parent / SNAPSHOT).read_text(encoding="utf-8"))["git"]

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {"commit": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}


def record(out: Path | str, config: Any, *, name: str) -> None:
    """Write `NAME.config.yaml` and `NAME.provenance.json` into the folder `out`."""
    out = Path(out)
    write_text(out / f"{name}.config.yaml", configs.to_yaml(config))
    write_json(out / f"{name}.provenance.json", collect())

"""Keys of `navforge jobs`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key

EXPERIMENTS = "NAVSIM_EXP_ROOT"
"""Environment variable that names the folder of runs, as the public devkit has it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge jobs`."""

    root: Path | None = key(None, f"folder the runs lie in, up to three levels deep; null: ${EXPERIMENTS}, else runs")
    watch: bool = key(True, "on a terminal: refresh until Ctrl-C; false: print once")
    every_s: float = key(5.0, "time between two refreshes", unit="s", low=0.5)

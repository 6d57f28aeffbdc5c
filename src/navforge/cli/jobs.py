"""`navforge jobs`: every run under a folder, live."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live

from navforge.core.config import key
from navforge.core.screen import screen
from navforge.jobs.table import render, survey

EXPERIMENTS = "NAVSIM_EXP_ROOT"
"""Environment variable that names the folder of runs, as the public devkit has it."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge jobs`."""

    root: Path | None = key(None, f"folder the runs lie in, up to three levels deep; null: ${EXPERIMENTS}, else runs")
    watch: bool = key(True, "on a terminal: refresh until Ctrl-C; false: print once")
    every_s: float = key(5.0, "time between two refreshes", unit="s", low=0.5)


def run(config: Config) -> None:
    """Show the table, once where standard output is no terminal."""
    root = config.root or default_root()
    console = screen(width=int(os.environ.get("COLUMNS", "200")))
    if not (config.watch and console.is_terminal):
        console.print(render(survey(root), console.width))
        return
    with Live(console=console, auto_refresh=False) as live:
        try:
            while True:
                live.update(render(survey(root), console.width), refresh=True)
                time.sleep(config.every_s)
        except KeyboardInterrupt:
            return


def default_root() -> Path:
    """Where runs lie if the user does not say."""
    return Path(os.environ.get(EXPERIMENTS, "runs"))

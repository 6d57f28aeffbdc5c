"""`navforge jobs`: every run under a folder, live."""

from __future__ import annotations

import os
import time
from pathlib import Path

from rich.live import Live

from navforge.cli.keys.jobs import EXPERIMENTS, Config
from navforge.core.screen import screen
from navforge.jobs.table import render, survey


def run(config: Config) -> None:
    """Show the table, once where standard output is not a terminal."""
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

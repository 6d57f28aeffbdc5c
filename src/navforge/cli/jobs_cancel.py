"""`navforge jobs cancel RUN`: end a run, after a checkpoint where it trains."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.screen import say
from navforge.jobs import control
from navforge.runs.folder import RunFolder

POSITIONAL = ("run",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge jobs cancel`."""

    run: Path = key(help="run folder")
    wait_s: float = key(120.0, "how long ranks may take for their checkpoint", unit="s", low=0)


def run(config: Config) -> None:
    """End the run and say whether a checkpoint was written."""
    done = control.cancel(RunFolder(config.run), wait_s=config.wait_s, say=lambda text: say(text, file=sys.stderr))
    say(f"{config.run}: {done}")

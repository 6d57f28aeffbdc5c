"""`navforge jobs requeue RUN`: start a run again from its last checkpoint."""

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
    """Keys of `navforge jobs requeue`."""

    run: Path = key(help="run folder")
    wait_s: float = key(120.0, "how long ranks may take for their checkpoint", unit="s", low=0)


def run(config: Config) -> None:
    """Restart the run and print where it resumes."""
    done = control.requeue(RunFolder(config.run), wait_s=config.wait_s, say=lambda text: say(text, file=sys.stderr))
    say(f"{config.run}: {done}")

"""`navforge jobs cancel RUN`: end a run, after a checkpoint where it trains."""

from __future__ import annotations

import sys

from navforge.cli.keys.jobs_cancel import Config
from navforge.core.screen import say
from navforge.jobs import control
from navforge.runs.folder import RunFolder


def run(config: Config) -> None:
    """End the run and say whether a checkpoint was written."""
    done = control.cancel(RunFolder(config.run), wait_s=config.wait_s, say=lambda text: say(text, file=sys.stderr))
    say(f"{config.run}: {done}")

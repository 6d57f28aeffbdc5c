"""`navforge jobs requeue RUN`: start a run again from its last checkpoint."""

from __future__ import annotations

import sys

from navforge.cli.keys.jobs_requeue import Config
from navforge.core.screen import say
from navforge.jobs import control
from navforge.runs.folder import RunFolder


def run(config: Config) -> None:
    """Restart the run and print where it resumes."""
    done = control.requeue(RunFolder(config.run), wait_s=config.wait_s, say=lambda text: say(text, file=sys.stderr))
    say(f"{config.run}: {done}")

"""`navforge jobs show RUN`: everything about one run."""

from __future__ import annotations

import time

from navforge.cli.keys.jobs_show import Config
from navforge.core.screen import screen
from navforge.jobs.details import page
from navforge.jobs.state import state_of
from navforge.jobs.table import slurm_answer
from navforge.jobs.view import read_run
from navforge.runs.folder import RunFolder


def run(config: Config) -> None:
    """Print the page."""
    view = read_run(RunFolder(config.run))
    answer = slurm_answer([view])
    job = answer.of(view)
    now = time.time()
    console = screen(width=120)
    console.print(page(view, state_of(view, job, now=now), job, now=now, width=console.width))
    if answer.note:
        console.print(f"note: {answer.note}", style="yellow")

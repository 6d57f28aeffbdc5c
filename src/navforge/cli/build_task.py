"""`navforge build-task OUT task=N`: one task of the job array of a verb with executor=slurm."""

from __future__ import annotations

from navforge.cli.keys.build_task import Config
from navforge.launch.build_array import run_task


def run(config: Config) -> None:
    """Make the logs of the task."""
    run_task(config.out, config.task)

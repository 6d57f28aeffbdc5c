"""`navforge build-task OUT task=N`: one task of the job array of a verb with executor=slurm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.launch.build_array import run_task

SELF_CHECK = True
POSITIONAL = ("out",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge build-task`."""

    out: Path = key(help="folder that the verb writes")
    task: int = key(help="number of the task", low=0)


def run(config: Config) -> None:
    """Make the logs of the task."""
    run_task(config.out, config.task)

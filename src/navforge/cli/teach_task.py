"""`navforge teach-task OUT task=N`: one task of the job array of `navforge teach executor=slurm`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.launch.teaching import run_task

SELF_CHECK = True
POSITIONAL = ("out",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge teach-task`."""

    out: Path = key(help="folder of the teacher store that navforge teach makes")
    task: int = key(help="number of the task", low=0)


def run(config: Config) -> None:
    """Make the shards of the task."""
    run_task(config.out, config.task)

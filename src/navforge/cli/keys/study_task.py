"""Keys of `navforge study-task`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key

POSITIONAL = ("folder",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge study-task`."""

    folder: Path = key(help="folder of the submission")
    task: int = key(help="number of the task", low=0)

"""Keys of `navforge build-task`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key

SELF_CHECK = True
POSITIONAL = ("out",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge build-task`."""

    out: Path = key(help="folder that the verb writes")
    task: int = key(help="number of the task", low=0)

"""Keys of `navforge export-teacher`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.teacher.tables import LAYOUTS


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge export-teacher`."""

    teacher: Path = key(help="teacher store")
    vocabulary: Path = key(help="vocabulary file (.npy) of the store")
    out: Path = key(help="pickle file to write")
    layout: str = key("gtrs", "whose keys to write", choices=tuple(known.name for known in LAYOUTS))

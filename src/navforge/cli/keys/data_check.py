"""Keys of `navforge data check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.data.paths import SPLIT_HELP, DataConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge data check`."""

    split: str | None = key(None, f"{SPLIT_HELP}; null: every folder")
    data: DataConfig = key(DataConfig, "where logs, sensor files and maps are")
    frames: str = key("history", "frames of a scene whose sensor files count", choices=("current", "history", "all"))
    sample: int | None = key(200, "sensor files of each kind to decode, per split; null: all", unit="files", low=0)
    allow_missing: bool = key(False, "end well even if something is missing or damaged")
    workers: int = key(0, "processes; 0: one per CPU", low=0)
    out: Path | None = key(None, "folder for data_check.json with every finding; null: print only")

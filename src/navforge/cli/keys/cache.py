"""Keys of `navforge cache`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cli.keys.executors import ExecutorKeys
from navforge.core.config import key
from navforge.data.paths import SPLIT_HELP, DataConfig

SELF_CHECK = True


@dataclass(frozen=True, kw_only=True)
class Config(ExecutorKeys):
    """Keys of `navforge cache`."""

    split: str = key(help=SPLIT_HELP)
    out: Path = key(help="folder of the cache; files in it that are up to date are kept")
    data: DataConfig = key(DataConfig)
    allow_missing: bool = key(
        False, "leave out scenes that are not on disk or cannot be cached; results computed on them say so"
    )

"""Keys of `navforge vocab report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.data.paths import SPLIT_HELP, DataConfig

POSITIONAL = ("vocabulary",)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge vocab report`."""

    vocabulary: Path = key(help="vocabulary file (.npy)")
    split: str | None = key(None, f"compare with its human trajectories: {SPLIT_HELP}; none: do not", none="none")
    store: Path | None = key(None, "teacher store of the vocabulary: tell the oracle; none: do not", none="none")
    cache: Path | None = key(
        None, "metric cache of the store: draw the worst scenes; none: name them only", none="none"
    )
    out: Path | None = key(
        None, "folder of report.html and report.json; auto: the vocabulary's name with .report", none="auto"
    )
    scenes: int = key(12, "worst scenes that are named and drawn", low=0)
    allow_missing: bool = key(False, "go on when scenes of the split are not on disk")
    workers: int = key(0, "processes that read logs; 0 one per CPU", low=0)
    data: DataConfig = key(DataConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for a cache that would not be used."""
        if self.cache is not None and self.store is None:
            raise ConfigError("cache: the worst scenes are known from a teacher store; give store=FOLDER too")

    @property
    def folder(self) -> Path:
        """Where the report goes."""
        return self.vocabulary.with_suffix(".report") if self.out is None else self.out

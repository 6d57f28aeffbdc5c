"""Keys of `navforge vocab`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.data.paths import SPLIT_HELP, DataConfig


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge vocab`."""

    split: str = key(help=SPLIT_HELP)
    out: Path = key(help="vocabulary file to write, ending in .npy")
    size: int = key(256, "number of entries", low=2)
    trajectories: int | None = key(
        None, "human trajectories to cluster, taken at random; all: every scene of the split", low=1, none="all"
    )
    representative: str = key(
        "medoid", "entry of a cluster: its most central driven trajectory, or the mean", choices=("medoid", "mean")
    )
    seed: int = key(0, "of the draw of trajectories and of the k-means seeds", low=0)
    allow_missing: bool = key(False, "go on when scenes of the split are not on disk")
    workers: int = key(0, "processes that read logs, threads that cluster; 0 one per CPU", low=0)
    data: DataConfig = key(DataConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for a file name that will not load again."""
        if self.out.suffix != ".npy":
            raise ConfigError(f"out: a vocabulary file ends in .npy, got {self.out}")

"""`navforge vocab`: a vocabulary from a split's human trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core import provenance
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.vocabulary.clustering import cluster
from navforge.vocabulary.harvest import human_trajectories


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge vocab`."""

    split: str = key(help="folder of logs or scene-filter YAML")
    out: Path = key(help="vocabulary file to write, ending in .npy")
    size: int = key(256, "number of entries", low=2)
    representative: str = key(
        "medoid", "entry of a cluster: its most central driven trajectory, or the mean", choices=("medoid", "mean")
    )
    seed: int = key(0, "of the k-means initialisation", low=0)
    allow_missing: bool = key(False, "go on when scenes of the split are not on disk")
    workers: int = key(0, "processes that read logs; 0 one per CPU", low=0)
    data: DataConfig = key(DataConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for a file name that will not load again."""
        if self.out.suffix != ".npy":
            raise ConfigError(f"out: a vocabulary file ends in .npy, got {self.out}")


def run(config: Config) -> None:
    """Build, save with a JSON of its facts, and say what was made."""
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    trajectories = human_trajectories(split, config.data, workers=config.workers)
    vocabulary = cluster(trajectories, config.size, seed=config.seed, representative=config.representative)
    vocabulary.save(
        config.out,
        split=split.name,
        split_hash=split.hash,
        missing_scenes=len(split.missing),
        trajectories=len(trajectories),
        representative=config.representative,
        seed=config.seed,
    )
    provenance.record(config.out.parent, config, name=config.out.stem)
    print(
        f"{config.out}: {vocabulary.size} entries from {len(trajectories)} trajectories of {split.name} "
        f"(fingerprint {vocabulary.fingerprint})"
    )

"""What is tuned, on what, and how: the keys of `navforge tune`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.data.paths import SPLIT_HELP, DataConfig
from navforge.models.heads.weight_sets import SearchConfig

TUNED, RESULT, PARTS = "tuned.ckpt", "tune.json", "confidences"


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """Keys of a search for inference weights."""

    checkpoint: Path = key(help="trained planner of the Hydra-MDP family")
    weights: str | None = key(
        None, "where the file or folder of the encoder's frozen weights is now; null: where the checkpoint says"
    )
    split: str = key(help=f"validation split, never one of the benchmark's test sets: {SPLIT_HELP}")
    teacher: Path = key(help="teacher store of that split (navforge teach): the true scores")
    out: Path = key(help=f"folder for {TUNED}, {RESULT} and {PARTS}/")
    train_split: str | None = key(None, "split the planner was trained on; null: the name in the checkpoint")
    folds: int = key(2, "parts of the logs for cross-validation", low=2)
    search: SearchConfig = key(SearchConfig)
    data: DataConfig = key(DataConfig, "where logs and sensor files are")
    allow_missing: bool = key(False, "continue without scenes of the split that are not on disk")
    device: str = key("auto", "where the planner runs", choices=("auto", "cpu", "cuda"))
    batch_size: int = key(16, "scenes planned for at once", unit="scenes", low=1)

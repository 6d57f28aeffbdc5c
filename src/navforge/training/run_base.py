"""What every run is asked for, whatever it trains, and what launching, jobs and the preflight ask of its config."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from navforge.core.config import key
from navforge.data.paths import SPLIT_HELP, DataConfig
from navforge.training.config import LoopConfig


@dataclass(frozen=True, kw_only=True)
class RunBase(ABC):
    """Keys of every run."""

    split: str = key(help=f"what to train on: {SPLIT_HELP}")
    out: Path = key(help="run folder: checkpoints, learning curves, config, provenance")
    val_split: str | None = key(None, "split to validate on after each epoch")
    nodes: int = key(1, "machines to train on", low=1)
    devices: int = key(1, "ranks per machine, each with a GPU where there are any", low=1)
    allow_missing: bool = key(False, "go on when scenes of a split are not on disk")
    train: LoopConfig = key(LoopConfig)
    data: DataConfig = key(DataConfig)

    def __post_init__(self) -> None:  # noqa: B027 (not every run has such keys)
        """For subclasses that check more than one key, the last of which ends here."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What is trained, as lists of runs show it."""

    @property
    @abstractmethod
    def subject(self) -> dict[str, Any]:
        """What is trained, as plain values; it does not change while a run is resumed."""

    @property
    def learned_from(self) -> dict[str, dict[str, Any]]:
        """Keys, by their part of the config, that decide what is learned from `files` and do not change either."""
        return {}

    @property
    @abstractmethod
    def files(self) -> dict[str, Path | None]:
        """Files and folders that are read, by key."""

    @property
    @abstractmethod
    def result(self) -> Path:
        """What is there once the run has finished."""

    @property
    @abstractmethod
    def result_name(self) -> str:
        """What that is, in words."""

    def resolved(self) -> Self:
        """The same, with files it names here and all that they decide written into it."""
        return self

    @property
    def classes(self) -> tuple[type, ...]:
        """Classes whose code is trained and may be of another package."""
        return ()

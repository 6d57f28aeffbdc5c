"""What a finished training came to: time, samples, overfitting gap, how soon it was good. In `finished.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from navforge.core.errors import DataError
from navforge.core.outside.records import record
from navforge.core.outside.text import read_json
from navforge.runs.folder import RunFolder

KEY = "training"
"""In `finished.json`."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """Sums and gaps of a run, all its starts together; None where there was no validation, or no score in it."""

    seconds: float
    """Spent in epochs, validation and checkpoints included; what an interrupted start did after its last checkpoint is
    not counted."""
    gpu_hours: float
    """That time times the GPUs; 0 on CPUs."""
    samples: int
    """Scenes learned from, counted each time."""
    train_loss: float
    """Of the last epoch, over augmented batches while the weights changed."""
    val_loss: float | None
    """Of the last epoch."""
    train_score: float | None
    val_score: float | None
    """Of the last epoch, where a teacher or the engine scores what is planned."""
    epochs_to_90: int | None
    """Epochs until the validation score first reached 90 % of its best."""
    epochs_to_95: int | None
    epochs: int | None = None
    updates: int | None = None
    """Optimiser steps; None, as `epochs`, before the whole file is read."""

    @property
    def loss_gap(self) -> float | None:
        """Validation loss minus training loss of the last epoch: what does not carry over to other scenes."""
        return None if self.val_loss is None else self.val_loss - self.train_loss

    @property
    def score_gap(self) -> float | None:
        """Training score minus validation score of the last epoch."""
        known = self.train_score is not None and self.val_score is not None
        return self.train_score - self.val_score if known else None  # type: ignore[operator]


def training_record(epochs: Sequence[Mapping[str, str]], *, scenes_per_epoch: int, gpus: int) -> TrainingRecord:
    """The record of a run.

    Args:
        epochs: rows of `epochs.csv`, every epoch of the run.
        scenes_per_epoch: scenes that the steps of an epoch take.
        gpus: of all ranks; 0 on CPUs.
    """
    seconds = sum(float(row["seconds"]) for row in epochs)
    last = epochs[-1]
    scores = [float(row.get("val/score") or math.nan) for row in epochs]
    return TrainingRecord(
        seconds=seconds,
        gpu_hours=seconds * gpus / 3600,
        samples=len(epochs) * scenes_per_epoch,
        train_loss=float(last["train/loss"]),
        val_loss=_number(last, "val/loss"),
        train_score=_number(last, "train/score"),
        val_score=_number(last, "val/score"),
        epochs_to_90=_epochs_to(0.90, scores),
        epochs_to_95=_epochs_to(0.95, scores),
    )


def read_training_record(folder: RunFolder) -> TrainingRecord | None:
    """The record of a run; None where it has not finished, or finished before there were records.

    Raises:
        DataError: the file is damaged.
    """
    if not folder.finished.is_file():
        return None
    whole = read_json(folder.finished, "record of a finished run")
    if (values := whole.get(KEY)) is None:
        return None
    try:
        values = {**values, "epochs": whole.get("epochs"), "updates": whole.get("steps")}
        return record(TrainingRecord, values, newer=True)
    except (TypeError, ValueError) as error:
        raise DataError(f"{folder.finished} is damaged: {error}") from error


def _number(row: Mapping[str, str], column: str) -> float | None:
    return float(row[column]) if row.get(column) else None


def _epochs_to(share: float, scores: Sequence[float]) -> int | None:
    """Epochs until a share of the best score was reached first."""
    best = max((score for score in scores if not math.isnan(score)), default=None)
    if best is None:
        return None
    return next(epoch for epoch, score in enumerate(scores, 1) if score >= share * best)

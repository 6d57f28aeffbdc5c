"""What a finished training came to."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from navforge.core.errors import DataError
from navforge.core.files import write_json
from navforge.runs.folder import RunFolder
from navforge.runs.training_record import KEY, TrainingRecord, read_training_record, training_record


def rows(scores: list[float], seconds: float = 2.0) -> list[dict[str, str]]:
    """Epochs whose losses fall by a tenth, validation's from twice the training's."""
    return [
        {
            "epoch": str(epoch),
            "seconds": str(seconds),
            "train/loss": str(1.0 - 0.1 * epoch),
            "val/loss": str(2.0 - 0.1 * epoch),
            "train/score": str(score + 0.1),
            "val/score": str(score),
        }
        for epoch, score in enumerate(scores)
    ]


def test_sums_and_gaps() -> None:
    done = training_record(rows([0.1, 0.5, 0.71, 0.77, 0.8, 0.6]), scenes_per_epoch=96, gpus=4)
    assert done.seconds == 12.0 and done.gpu_hours == pytest.approx(48 / 3600) and done.samples == 576
    assert done.train_loss == 0.5 and done.val_loss == 1.5 and done.loss_gap == pytest.approx(1.0)
    assert done.score_gap == pytest.approx(0.1)


def test_epochs_to_a_share_of_the_best_score() -> None:
    done = training_record(rows([0.1, 0.719, 0.73, 0.76, 0.8, 0.6]), scenes_per_epoch=1, gpus=0)
    assert (done.epochs_to_90, done.epochs_to_95) == (3, 4), "90 % of 0.8 is 0.72, 95 % is 0.76"
    first = training_record(rows([0.8, 0.1]), scenes_per_epoch=1, gpus=0)
    assert (first.epochs_to_90, first.epochs_to_95) == (1, 1)
    assert done.gpu_hours == 0


def test_without_a_score_or_a_validation() -> None:
    epochs = [{key: value for key, value in row.items() if "score" not in key} for row in rows([0, 0])]
    done = training_record(epochs, scenes_per_epoch=1, gpus=0)
    assert (done.val_score, done.score_gap, done.epochs_to_90) == (None, None, None)
    assert done.loss_gap == pytest.approx(1.0)
    alone = training_record([{**row, "val/loss": ""} for row in epochs], scenes_per_epoch=1, gpus=0)
    assert alone.val_loss is None and alone.loss_gap is None


def test_it_is_read_back(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert read_training_record(folder) is None
    write_json(folder.finished, {"steps": 1})
    assert read_training_record(folder) is None, "of before there were records"
    done: TrainingRecord = training_record(rows([0.1, 0.5]), scenes_per_epoch=9, gpus=1)
    write_json(folder.finished, {KEY: asdict(done)})
    assert read_training_record(folder) == done
    write_json(folder.finished, {KEY: {**asdict(done), "samples": "many"}})
    with pytest.raises(DataError, match=r"finished.json is damaged: .*samples"):
        read_training_record(folder)

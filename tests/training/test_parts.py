"""Small parts of training: schedule, augmentation, kept inputs, learning curves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from navforge.training.config import AugmentConfig, TrainConfig
from navforge.training.loop.augment import augment
from navforge.training.loop.curves import read_curves, to_csv
from navforge.training.loop.module import rate_factor


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing() -> None:
    config = TrainConfig(schedule="one_cycle", warmup=0.25)
    factors = [rate_factor(config, step, 100) for step in range(101)]
    assert (
        factors[0] == pytest.approx(1 / 25)
        and factors[25] == pytest.approx(1.0)
        and factors[100] == pytest.approx(1 / 25e4)
    )
    assert max(factors) <= 1.0 and np.argmax(factors) == 25


def test_cosine_and_constant() -> None:
    cosine = TrainConfig(schedule="cosine", warmup=0.1)
    assert rate_factor(cosine, 5, 100) == pytest.approx(0.5)
    assert rate_factor(cosine, 55, 100) == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert rate_factor(cosine, 100, 100) == pytest.approx(0.01)
    assert rate_factor(TrainConfig(schedule="constant"), 77, 100) == 1.0


def test_augmentation_changes_images_within_bounds_and_only_what_it_is_told() -> None:
    inputs = {
        "status": torch.arange(16.0).view(2, 8),
        "panorama": torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8),
    }
    same = augment(inputs, AugmentConfig())
    assert torch.equal(same["panorama"], inputs["panorama"]) and torch.equal(same["status"], inputs["status"])
    torch.manual_seed(0)
    changed = augment(inputs, AugmentConfig(brightness=0.5, contrast=0.5, saturation=0.5, noise=0.1))
    image = changed["panorama"]
    assert image.dtype == torch.float32 and image.min() >= 0 and image.max() <= 1
    assert (image - inputs["panorama"] / 255).abs().mean() > 0.02
    hidden = augment(inputs, AugmentConfig(status_dropout=1.0))["status"]
    assert torch.equal(hidden[:, :4], inputs["status"][:, :4]) and (hidden[:, 4:] == 0).all()


def test_ego_status_is_hidden_in_all_frames_of_the_scenes_that_the_seed_draws() -> None:
    inputs = {"status": torch.ones(2000, 8), "status_history": torch.ones(2000, 4, 8)}
    config = AugmentConfig(whole_status_dropout=0.25)
    torch.manual_seed(5)
    changed = augment(inputs, config)
    hidden = (changed["status"] == 0).all(dim=1)
    assert 0.2 < hidden.float().mean() < 0.3
    assert (changed["status"][~hidden] == 1).all() and (changed["status_history"][~hidden] == 1).all()
    assert (changed["status_history"][hidden] == 0).all()
    assert (inputs["status"] == 1).all() and (inputs["status_history"] == 1).all(), "the batch itself stays"
    torch.manual_seed(5)
    assert torch.equal(augment(inputs, config)["status"], changed["status"])
    torch.manual_seed(6)
    assert not torch.equal(augment(inputs, config)["status"], changed["status"])
    motion = augment(inputs, AugmentConfig(status_dropout=1.0))["status_history"]
    assert (motion[..., :4] == 1).all() and (motion[..., 4:] == 0).all()


def test_curves_with_changing_columns(tmp_path: Any) -> None:
    rows = [{"epoch": "0", "train/loss": "1"}, {"epoch": "1", "train/loss": "0.5", "val/loss": "2"}]
    (tmp_path / "epochs.csv").write_text(to_csv(rows))
    assert read_curves(tmp_path / "epochs.csv") == [{**rows[0], "val/loss": ""}, rows[1]]
    assert read_curves(tmp_path / "none.csv") == []

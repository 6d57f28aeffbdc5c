"""What a checkpoint restores of a trainer, without a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning_fabric.plugins.precision import MixedPrecision

from navforge.training.loop.trainer import Trainer
from navforge.training.ranks.messages import Ranks
from tests.training.loop.test_stepper import CONFIG, stepper


def trainer(folder: Path, initial_scale: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Trainer, dict[str, Any]]:
    """A trainer with fp16's loss scaler, as it has on a GPU, and the values of its latest checkpoint."""
    scaled, model = stepper()
    scaler = torch.amp.GradScaler("cpu", init_scale=initial_scale)
    scaled.fabric.strategy.precision = MixedPrecision("16-mixed", "cpu", scaler)
    parts: Any = SimpleNamespace(
        folder=SimpleNamespace(checkpoints=folder),
        ranks=Ranks(),
        config=CONFIG,
        module=model,
        stepper=scaled,
        about={},
        drawn=None,
    )
    saved: dict[str, Any] = {}
    made = Trainer(parts)
    monkeypatch.setattr(made, "_write", saved.update)
    return made, saved


def test_the_loss_scaler_resumes_at_its_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a resumed fp16 run would overflow anew until its scale has come down again."""
    before, saved = trainer(tmp_path, 2.0**16, monkeypatch)
    scaler = before.parts.stepper.scaler
    scaler.scale(torch.ones(()))  # the scale is made at first use
    scaler.update(512.0)
    before.save()
    resumed, _ = trainer(tmp_path, 2.0**16, monkeypatch)
    resumed.restore(saved)
    assert resumed.parts.stepper.scaler.get_scale() == 512.0

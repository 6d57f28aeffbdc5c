"""Runs whose encoder is frozen or tuned by LoRA: what checkpoints hold, and resuming from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from navforge.models.checkpoints import read_checkpoint
from navforge.models.encoders.configs import VisionConfig
from navforge.models.loading import load_planner
from navforge.training.run import train
from navforge.training.run_config import RunConfig
from tests.models.test_vision import NATIVE, saved
from tests.models.test_vision_checkpoints import TUNINGS

from .processes import same_result
from .test_run import pulled_plug

pytestmark = pytest.mark.forks


@pytest.mark.parametrize("tune", ("frozen", "lora"))
def test_a_run_with_frozen_weights_resumes_to_the_bit(
    tune: str, make_run: Callable[..., RunConfig], tmp_path: Path
) -> None:
    saved("ijepa", tmp_path / "weights")
    encoder = VisionConfig(weights=str(tmp_path / "weights"), height=NATIVE, width=NATIVE, tune=tune, **TUNINGS[tune])
    planner = replace(make_run().planner, encoder=encoder)
    changes = {"planner": planner, "train": replace(make_run().train, epochs=2)}
    best = train(make_run("whole", **changes))
    with pulled_plug(3):
        train(make_run("halves", **changes))
    train(make_run("halves", **changes))
    same_result(make_run("whole").out, make_run("halves").out)
    held = read_checkpoint(best)
    assert not [name for name in held.state if name.startswith("encoder.trunk") and "lora_" not in name]
    assert held.planner["encoder"]["fingerprint"] and load_planner(held).config.encoder.is_frozen == (tune == "frozen")

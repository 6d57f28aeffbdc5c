"""Predicted sizes against a run that has finished, and what is known of encoders whose files are not here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from navforge.models.encoders.configs import VisionConfig
from navforge.preflight.bytes_written import bytes_written, package_bytes, planner_sizes
from navforge.studies.disk import folder_bytes
from navforge.training.recipes.catalog import recipe
from navforge.training.recipes.vision import ARCHITECTURES
from navforge.training.run import train
from navforge.training.run_config import RunConfig


def test_a_finished_run_within_a_factor_of_1_5(make_run: Callable[..., RunConfig]) -> None:
    """In this process, so without a snapshot of the code; wide enough that checkpoints outweigh curves and logs."""
    planner = recipe("ego_mlp").planner
    wide = replace(planner, head=replace(planner.head, hidden=1024))  # type: ignore[type-var]
    config = make_run(planner=wide, vocabulary=None, teacher=None, val_teacher=None)
    train(config)
    predicted = bytes_written("train", config, None)
    assert predicted is not None
    assert 1 / 1.5 < (predicted - package_bytes()) / folder_bytes(config.out) < 1.5


def test_published_encoders_are_known_without_their_files() -> None:
    frozen = recipe("ijepa_mlp").planner
    sizes = planner_sizes(frozen)
    assert sizes is not None and sizes.tokens == 1280, "one token of ViT-H"
    assert isinstance(frozen.encoder, VisionConfig) and frozen.encoder.weights in ARCHITECTURES
    blocks = planner_sizes(replace(frozen, encoder=replace(frozen.encoder, tune="last_blocks")))
    assert blocks is not None
    learned = 4 * (12 * 1280**2 + 13 * 1280)  # numbers in four blocks of ViT-H, each kept with two moments
    assert blocks.checkpoint - sizes.checkpoint == pytest.approx(12 * learned, rel=0.01) and blocks.tokens == 0
    assert planner_sizes(replace(frozen, encoder=replace(frozen.encoder, weights="/not/here"))) is None


def test_what_cannot_be_told_is_none() -> None:
    assert bytes_written("cache", None, None) is None and bytes_written("town", None, 5) is None

"""Masks of I-JEPA: what context and targets may share, and how many patches they have."""

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import ConfigError
from navforge.training.pretraining.masking import LEAST_CONTEXT, MaskConfig, Masks, block_size, draw_masks


def masks(seed: int, *, grid: int = 14, images: int = 8, config: MaskConfig | None = None) -> Masks:
    return draw_masks(np.random.default_rng(seed), images, grid, config or MaskConfig())


@pytest.mark.parametrize("grid", [6, 8, 14, 16])
def test_no_target_is_in_the_context_of_its_image(grid: int) -> None:
    for seed in range(20):
        found = masks(seed, grid=grid)
        for seen, targets in zip(found.context, found.targets, strict=True):
            assert not set(seen) & set(targets.ravel())
            assert len(set(seen)) == len(seen) >= LEAST_CONTEXT and seen.min() >= 0 and seen.max() < grid * grid


def test_a_batch_has_one_number_of_patches_per_target_and_per_context() -> None:
    found = masks(3)
    assert found.targets.shape[:2] == (8, 4) and found.context.shape[0] == 8
    assert found.context.dtype == found.targets.dtype == np.int64


def test_targets_are_rectangles_of_the_papers_sizes() -> None:
    grid = 16
    for seed in range(40):
        for block in masks(seed, grid=grid, images=2).targets.reshape(8, -1):
            rows, columns = np.unique(block // grid), np.unique(block % grid)
            assert len(rows) * len(columns) == len(block), "a full rectangle"
            assert np.ptp(rows) == len(rows) - 1 and np.ptp(columns) == len(columns) - 1
            assert 0.13 < len(block) / grid**2 < 0.22 and 0.65 < len(rows) / len(columns) < 1.7


def test_block_size_by_hand() -> None:
    assert block_size(0.25, 1.0, 16) == (8, 8)
    assert block_size(0.1875, 0.75, 16) == (6, 8)
    assert block_size(1.0, 1.0, 14) == (14, 14)
    assert block_size(0.9, 3.0, 10) == (10, 5), "cut to the grid"


def test_contexts_differ_between_images_and_leave_out_patches_everywhere() -> None:
    found = masks(0, images=64)
    counts = np.bincount(found.context.ravel(), minlength=14 * 14).reshape(14, 14)
    assert not np.array_equal(found.context[0], found.context[1])
    lower, upper = counts[7:].sum(), counts[:7].sum()
    assert abs(lower - upper) < 0.1 * (lower + upper), "cutting contexts to one size favours no part of the image"


def test_the_generator_alone_decides() -> None:
    one, same, other = masks(5), masks(5), masks(6)
    assert np.array_equal(one.context, same.context) and np.array_equal(one.targets, same.targets)
    assert one.context.shape != other.context.shape or not np.array_equal(one.context, other.context)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave no 4 patches of context on a grid of 2 x 2"):
        masks(0, grid=2)
    with pytest.raises(ConfigError, match=r"masks.target_scale: .* the smaller first, at most 1, got \[0.5, 0.2\]"):
        MaskConfig(target_scale=(0.5, 0.2))
    with pytest.raises(ConfigError, match=r"masks\.target_aspect"):
        MaskConfig(target_aspect=(1.0,))

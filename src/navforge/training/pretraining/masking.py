"""Multi-block masking of I-JEPA (arXiv 2301.08243, section 3 and appendix A): which patches are seen, which predicted.

An image is a square grid of patches, numbered row by row. Of each image several target blocks are drawn, which may
overlap, and one large context block, from which all patches of the targets are taken out. Sizes of blocks are drawn
once for a batch and places for each image, so that a batch has one number of patches per target; contexts are brought
to the size of the smallest by leaving out patches at random (the public code leaves out the last ones, which are the
lowest rows).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.config import key
from navforge.core.errors import ConfigError

LEAST_CONTEXT = 4
"""Patches a context has at least."""
TRIES = 1000
"""Draws of an image's blocks before the blocks are said not to fit the grid."""

Span = tuple[float, ...]
"""Smallest and largest value."""


@dataclass(frozen=True, kw_only=True)
class MaskConfig:
    """Sizes of blocks, as shares of the image; defaults are the paper's."""

    targets: int = key(4, "target blocks per image", low=1, high=16)
    target_scale: Span = key((0.15, 0.2), "smallest and largest share of the image in a target block")
    target_aspect: Span = key((0.75, 1.5), "smallest and largest height over width of a target block")
    context_scale: Span = key((0.85, 1.0), "smallest and largest share of the image in the context block")

    def __post_init__(self) -> None:
        """Raise ConfigError for spans that are none."""
        require_span("masks.target_scale", self.target_scale, high=1.0)
        require_span("masks.target_aspect", self.target_aspect)
        require_span("masks.context_scale", self.context_scale, high=1.0)


@dataclass(frozen=True)
class Masks:
    """Patches of a batch by number, ascending in every row."""

    context: NDArray[np.int64]
    """(B, C) patches the context encoder sees."""
    targets: NDArray[np.int64]
    """(B, T, P) patches of each target block; none of them is in the context of its image."""


def draw_masks(rng: np.random.Generator, images: int, grid: int, config: MaskConfig) -> Masks:
    """Masks of a batch.

    Args:
        rng: decides all.
        images: B.
        grid: patches along a side of an image.
        config: sizes.

    Raises:
        ConfigError: the targets leave no context on a grid this small.
    """
    target = block_size(uniform(rng, config.target_scale), uniform(rng, config.target_aspect), grid)
    context = block_size(uniform(rng, config.context_scale), 1.0, grid)
    targets, contexts = [], []
    for _ in range(images):
        blocks, seen = _blocks(rng, grid, target, context, config.targets)
        targets.append(blocks)
        contexts.append(seen)
    least = min(map(len, contexts))
    kept = [np.sort(rng.choice(seen, least, replace=False)) for seen in contexts]
    return Masks(np.stack(kept), np.stack(targets))


def block_size(scale: float, aspect: float, grid: int) -> tuple[int, int]:
    """Rows and columns of a block: `scale` of the grid's patches, `aspect` rows to a column; within the grid."""
    patches = scale * grid * grid
    rows, columns = round(math.sqrt(patches * aspect)), round(math.sqrt(patches / aspect))
    return min(max(rows, 1), grid), min(max(columns, 1), grid)


def uniform(rng: np.random.Generator, span: Span) -> float:
    """A number within a span."""
    return float(rng.uniform(span[0], span[1]))


def require_span(name: str, span: Span, *, high: float = math.inf) -> None:
    """Raise ConfigError unless 0 < first <= second <= high."""
    if len(span) != 2 or not 0 < span[0] <= span[1] <= high:
        most = "" if math.isinf(high) else f", at most {high:g}"
        raise ConfigError(f"{name}: expected two positive numbers, the smaller first{most}, got {list(span)}")


def _blocks(
    rng: np.random.Generator, grid: int, target: tuple[int, int], context: tuple[int, int], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Targets (T, P) and context (C,) of one image."""
    for _ in range(TRIES):
        places = [_place(rng, grid, target) for _ in range(count)]
        seen = _place(rng, grid, context)
        seen[np.any(places, axis=0)] = False
        if seen.sum() >= LEAST_CONTEXT:
            return np.stack([np.flatnonzero(place) for place in places]), np.flatnonzero(seen)
    raise ConfigError(
        f"masks: {count} targets of {target[0]} x {target[1]} patches leave no {LEAST_CONTEXT} patches of context on a "
        f"grid of {grid} x {grid}; give a larger encoder.image_size, a smaller encoder.patch_size or smaller targets"
    )


def _place(rng: np.random.Generator, grid: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(grid * grid,) whether a patch is in a block of this size at a random place."""
    inside = np.zeros((grid, grid), np.bool_)
    top, left = rng.integers(0, grid - size[0] + 1), rng.integers(0, grid - size[1] + 1)
    inside[top : top + size[0], left : left + size[1]] = True
    return inside.reshape(-1)

"""Random crops of frames: the only augmentation of I-JEPA."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from navforge.training.pretraining.masking import Span, uniform

TRIES = 10
"""Draws before the whole frame is taken, as in torchvision."""


def draw_crop(rng: np.random.Generator, side: int, scale: Span, aspect: Span) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop of a square of `side` pixels.

    Its area is uniform in `scale` of the square's, its width over height log-uniform in `aspect`, as torchvision's
    `RandomResizedCrop` draws them.
    """
    for _ in range(TRIES):
        area = side * side * uniform(rng, scale)
        ratio = math.exp(uniform(rng, (math.log(aspect[0]), math.log(aspect[1]))))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= side and 0 < height <= side:
            top, left = rng.integers(0, side - height + 1), rng.integers(0, side - width + 1)
            return int(top), int(left), height, width
    return 0, 0, side, side


def random_crops(rng: np.random.Generator, frames: Tensor, side: int, scale: Span, aspect: Span) -> Tensor:
    """(B, 3, side, side) one crop of each of (B, 3, S, S) uint8 frames, resized with antialiasing."""
    crops = [
        functional.resized_crop(frame, *draw_crop(rng, frame.shape[-1], scale, aspect), [side, side], antialias=True)
        for frame in frames
    ]
    return torch.stack(crops)

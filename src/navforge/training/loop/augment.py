"""Random changes of a training batch, so that few scenes teach more than themselves."""

from __future__ import annotations

import torch
from torch import Tensor

from navforge.models.contract import Inputs
from navforge.training.config import AugmentConfig

GREY = (0.299, 0.587, 0.114)
"""Rec. 601 luma."""
COMMANDS = 4


def augment(inputs: Inputs, config: AugmentConfig) -> Inputs:
    """A changed copy of a batch, drawn from torch's global generator.

    Args:
        inputs: `status` (B, 8); `status_history` (B, K, 8) and `panorama` (B, 3, H, W) or (B, V, 3, H, W) uint8 or
            float in [0, 1], if they are there; every view is changed by itself.
        config: how much.
    """
    changed = dict(inputs)
    if "panorama" in inputs:
        images = inputs["panorama"]
        changed["panorama"] = _jitter(images.flatten(0, -4), config).unflatten(0, images.shape[:-3])
    for probability, first in ((config.status_dropout, COMMANDS), (config.whole_status_dropout, 0)):
        if probability > 0:
            _hide_status(changed, probability, first)
    return changed


def _hide_status(inputs: Inputs, probability: float, first: int) -> None:
    """Put 0 into the columns of the ego status from `first` on, in all frames of scenes that are drawn at random."""
    hidden = torch.rand(len(inputs["status"]), device=inputs["status"].device) < probability
    for name in ("status", "status_history"):
        if name in inputs:
            inputs[name] = inputs[name].clone()
            inputs[name][hidden, ..., first:] = 0.0


def _jitter(image: Tensor, config: AugmentConfig) -> Tensor:
    strengths = (config.brightness, config.contrast, config.saturation, config.noise)
    if not any(strengths):
        return image
    pixels = image.float() / 255 if image.dtype == torch.uint8 else image
    pixels = pixels * _factor(pixels, config.brightness)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = mean + (pixels - mean) * _factor(pixels, config.contrast)
    grey = (pixels * pixels.new_tensor(GREY).view(3, 1, 1)).sum(dim=1, keepdim=True)
    pixels = grey + (pixels - grey) * _factor(pixels, config.saturation)
    if config.noise > 0:
        pixels = pixels + config.noise * torch.randn_like(pixels)
    return pixels.clamp(0.0, 1.0)


def _factor(pixels: Tensor, strength: float) -> Tensor:
    """(B, 1, 1, 1) around 1."""
    return 1 + strength * (2 * torch.rand(len(pixels), 1, 1, 1, device=pixels.device) - 1)

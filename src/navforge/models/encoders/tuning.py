"""What of an image network learns: nothing, its last blocks, low-rank additions to its layers, or all of it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from navforge.core.errors import ConfigError
from navforge.models.encoders.image_networks import ImageNetwork

_ATTENTION = ("attn", "attention")
"""What names of attention layers hold."""


def learn_last_blocks(network: ImageNetwork, count: int) -> None:
    """Leave the last blocks, and the norm after them, to learn.

    Raises:
        ConfigError: the network has fewer.
    """
    depths = network.depths()
    last = max(depths.values())
    if count > last:
        raise ConfigError(f"planner.encoder.blocks: the network has {last}, got {count}")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and depths[name] > last - count)


def learn_low_rank(network: ImageNetwork, *, rank: int, alpha: float, where: Sequence[str]) -> None:
    """Add low-rank layers (LoRA, arXiv 2106.09685) that learn; the network itself does not.

    Args:
        network: its linear layers are wrapped in place.
        rank: of the additions.
        alpha: the additions are scaled by alpha / rank.
        where: of `attention` and `mlp`, the linear layers of the blocks that get one.

    Raises:
        ConfigError: the network has no such layers.
    """
    from peft import LoraConfig, inject_adapter_in_model  # noqa: PLC0415 (slow to load)

    depths = network.depths()
    layers = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and depths[f"{name}.weight"] and _place(name) in where
    ]
    if not layers:
        raise ConfigError(f"planner.encoder.lora_where: the network has no linear layers of {', '.join(where)}")
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=layers), network)  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("lora_" in name)


def _place(layer: str) -> str:
    return "attention" if any(word in layer for word in _ATTENTION) else "mlp"

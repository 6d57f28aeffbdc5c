"""V2-99, the network of DD3D: VoVNet-99 with effective squeeze-excitation in every block.

It is timm's `ese_vovnet99b`, which has that module in the last block of a stage only, with the others added. Lee and
Park, CenterMask (arXiv 1911.06667); Park et al., DD3D (arXiv 2108.06417).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import timm
from timm.layers.create_attn import create_attn
from timm.models.vovnet import OsaBlock
from torch import Tensor, nn

from navforge.core.errors import DataError
from navforge.models.encoders.timm_network import read_weights

V2_99 = "v2_99"
"""What `network` calls it."""

_PATTERNS = (
    (r"stem\.stem_(\d)/(conv|norm)\.(\w+)", lambda m: f"stem_{int(m[1]) - 1}.{_part(m[2])}.{m[3]}"),
    (
        r"stage(\d)\.OSA\d_(\d+)\.layers\.(\d)\.OSA\d_\d+_\d/(conv|norm)\.(\w+)",
        lambda m: f"{_block(m[1], m[2])}.conv_mid.{m[3]}.{_part(m[4])}.{m[5]}",
    ),
    (
        r"stage(\d)\.OSA\d_(\d+)\.concat\.OSA\d_\d+_concat/(conv|norm)\.(\w+)",
        lambda m: f"{_block(m[1], m[2])}.conv_concat.{_part(m[3])}.{m[4]}",
    ),
    (r"stage(\d)\.OSA\d_(\d+)\.ese\.fc\.(\w+)", lambda m: f"{_block(m[1], m[2])}.attn.fc.{m[3]}"),
)
_STEM = "stem_0.conv.weight"
_PREFIX = "img_backbone."


def v2_99(*, stage: int = -1, weights: Path | None = None) -> nn.Module:
    """The network returning one feature map.

    Args:
        stage: which feature map: 0 the stem, 1 to 4 the stages at strides 4 to 32; -1 the last (1024 channels).
        weights: checkpoint of DD3D or of another detector with this network (`img_backbone.` or no prefix); None starts
            at random.

    Raises:
        DataError: the weights file is missing, damaged or of another network.
    """
    network = timm.create_model("ese_vovnet99b", features_only=True, out_indices=(stage,))
    for block in network.modules():
        if isinstance(block, OsaBlock) and block.attn is None:
            block.attn = create_attn("ese", block.conv_concat.conv.out_channels)
    if weights is not None:
        _load(network, weights)
    return network


def _load(network: nn.Module, path: Path) -> None:
    state = read_weights(path)
    named = from_detectron({name.removeprefix(_PREFIX): value for name, value in state.items()})
    wanted = network.state_dict()
    try:  # a detector has other parts, which are left out
        network.load_state_dict({name: value for name, value in named.items() if name in wanted}, strict=True)
    except RuntimeError as error:
        raise DataError(f"weights {path} do not fit {V2_99}: {error}") from error


def from_detectron(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights named as the public V2-99 names them (detectron2's VoVNet) under the names of `v2_99()`.

    The public network turns its RGB input to BGR first; here the first convolution's input channels are turned
    instead. Names that are not of V2-99 are kept, so that strict loading refuses them.
    """
    named = {timm_name(name): value for name, value in state.items()}
    if _STEM in named:
        named[_STEM] = named[_STEM].flip(1)
    return named


def timm_name(name: str) -> str:
    """`stage2.OSA2_1.layers.0.OSA2_1_0/conv.weight` -> `stages_0.blocks.0.conv_mid.0.conv.weight`, and so on."""
    for pattern, renamed in _PATTERNS:
        if match := re.fullmatch(pattern, name):
            return renamed(match)
    return name


def _block(stage: str, number: str) -> str:
    return f"stages_{int(stage) - 2}.blocks.{int(number) - 1}"


def _part(name: str) -> str:
    return {"conv": "conv", "norm": "bn"}[name]

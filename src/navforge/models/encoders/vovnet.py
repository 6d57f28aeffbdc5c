"""V2-99, the network of DD3D: VoVNet-99 with effective squeeze-excitation in every block.

It is timm's `ese_vovnet99b`, which has that module in the last block of a stage only, with the others added. Lee and
Park, CenterMask (arXiv 1911.06667); Park et al., DD3D (arXiv 2108.06417).
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from navforge.core.errors import DataError
from navforge.models.conversion import Conversion, Recognised, Rule, convert
from navforge.models.encoders.timm_network import read_weights
from navforge.models.timm_alone import create_attn, timm

BLOCKS = (1, 3, 9, 3)
"""Blocks of stages 2 to 5."""
DETECTOR = "img_backbone."
"""Before the network's keys in a detector's checkpoint."""


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
        if isinstance(block, timm.models.vovnet.OsaBlock) and block.attn is None:
            block.attn = create_attn("ese", block.conv_concat.conv.out_channels)
    if weights is not None:
        _load(network, weights)
    return network


def published_rules(ours: str, published: str) -> tuple[Rule, ...]:
    """Where each parameter of `v2_99()` lies in the public network (detectron2's VoVNet).

    The public network turns its RGB input to BGR first; here the first convolution's input channels are turned instead.

    Args:
        ours: regular expression before our keys.
        published: template before the published keys.
    """
    rules = []
    for number in range(3):
        here, there = rf"{ours}stem_{number}\.", f"{published}stem.stem_{number + 1}/"
        rules += [
            Rule(rf"{here}conv\.(\w+)", rf"{there}conv.\1", reversed_axis=1 if number == 0 else None),
            Rule(rf"{here}bn\.(\w+)", rf"{there}norm.\1"),
        ]
    for stage, blocks in enumerate(BLOCKS):
        for block in range(blocks):
            unit = f"OSA{stage + 2}_{block + 1}"
            here, there = rf"{ours}stages_{stage}\.blocks\.{block}\.", f"{published}stage{stage + 2}.{unit}."
            rules += [
                Rule(rf"{here}conv_mid\.(\d)\.conv\.(\w+)", rf"{there}layers.\1.{unit}_\1/conv.\2"),
                Rule(rf"{here}conv_mid\.(\d)\.bn\.(\w+)", rf"{there}layers.\1.{unit}_\1/norm.\2"),
                Rule(rf"{here}conv_concat\.conv\.(\w+)", rf"{there}concat.{unit}_concat/conv.\1"),
                Rule(rf"{here}conv_concat\.bn\.(\w+)", rf"{there}concat.{unit}_concat/norm.\1"),
                Rule(rf"{here}attn\.fc\.(\w+)", rf"{there}ese.fc.\1"),
            ]
    return tuple(rules)


PUBLISHED = Conversion(
    name="V2-99 (DD3D)", marks=("stem.stem_1/conv.weight",), rules=published_rules("", ""), unused=(".*",)
)
"""A detector's other parts are left out; what the network lacks is an error."""


def _load(network: nn.Module, path: Path) -> None:
    state = read_weights(path)
    prefix = DETECTOR if any(name.startswith(DETECTOR) for name in state) else ""
    inner = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    try:
        network.load_state_dict(convert(Recognised(PUBLISHED, prefix, inner), network.state_dict()), strict=True)
    except DataError as error:
        raise DataError(f"weights {path} do not fit v2_99: {error}") from error

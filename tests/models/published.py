"""A planner's state written under the published names: the inverse of a conversion, for tests without `modelzoo`."""

from __future__ import annotations

import torch
from torch import Tensor

from navforge.models.conversion import Conversion
from navforge.models.planner import Planner


def as_published(planner: Planner, conversion: Conversion, prefix: str = "") -> dict[str, Tensor]:
    """The published state dict that converts to `planner`'s (for conversions that neither join nor turn tensors)."""
    parts: dict[str, dict[int, Tensor]] = {}
    for ours, value in planner.state_dict().items():
        source = conversion.source(ours)
        assert source is not None and len(source.keys) == 1 and source.reversed_axis is None
        place = 1 if source.rows.start is not None else 0
        parts.setdefault(source.keys[0], {})[place] = value.clone()
    joined = {key: [by_place[place] for place in sorted(by_place)] for key, by_place in parts.items()}
    return {prefix + key: values[0] if len(values) == 1 else torch.cat(values) for key, values in joined.items()}

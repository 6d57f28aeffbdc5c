"""Perception auxiliaries of the TransFuser family: vehicle boxes and the classes of the ground, beside the plan.

How a head uses them
    - A head whose decoder already has one query per vehicle (TransFuser) builds `Perception` and calls it with the
      decoded queries.
    - A head that decodes something else (Hydra-MDP) builds `PerceptionBranch`, which brings queries and a decoder of
      its own and is called with the encoder's tokens::

          config: perception: PerceptionConfig = key(lambda: PerceptionConfig(agents=False, bev_semantics=False))
          auxiliary_targets: return self.perception.targets
          __init__: self.perception = PerceptionBranch(config.perception, width, config.attention_heads,
                                                       config.feed_forward, bev_channels)   # if any target is on
          forward:  perceived = self.perception(tokens, head_input.bev)
          loss:     terms |= perception_loss(perceived, targets, config.perception)         # models.perception_loss

Both need an encoder with bird's-eye-view features (`Encoder.bev_channels > 0`) for the semantics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from navforge.core.config import key
from navforge.models.contract import AGENTS, BEV_SEMANTICS

BOX_COLUMNS = 5
"""x, y m, heading rad, length, width m in the ego frame."""
REACH_M = 32.0
"""Vehicles farther ahead, behind or aside are not targets; predicted centres stay inside."""
MOST_AGENTS = 30
BEV_CLASSES = ("background", "road", "walkway", "centreline", "static_object", "vehicle", "pedestrian")
BEV_SHAPE = (128, 256)
"""Rows along x (0..32 m ahead), columns along y (-32..32 m), 0.25 m each."""

LTF_VIEW_ANGLE = 4 * math.pi / 9
"""The public LTF looks for vehicles up to 80 degrees off straight ahead, where its cameras see."""


@dataclass(frozen=True, kw_only=True)
class PerceptionConfig:
    """Which auxiliaries are learned, and how much they count. Defaults are those of the public TransFuser."""

    agents: bool = key(True, "detect vehicles")
    bev_semantics: bool = key(True, "segment the ground ahead")
    class_factor: float = key(10.0, "factor of the vehicle-or-not loss, in matching too", low=0.0)
    box_factor: float = key(1.0, "factor of the box loss, in matching too", low=0.0)
    semantics_factor: float = key(10.0, "factor of the segmentation loss", low=0.0)
    view_angle: float = key(
        math.pi, "vehicles whose bearing is farther from straight ahead are not targets", unit="rad", low=0.0
    )

    @property
    def targets(self) -> tuple[str, ...]:
        """What a head with these auxiliaries returns as `HeadConfig.auxiliary_targets`."""
        return (AGENTS,) * self.agents + (BEV_SEMANTICS,) * self.bev_semantics

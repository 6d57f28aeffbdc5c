"""No sensors: the only token is the ego status itself."""

from __future__ import annotations

from navforge.models.contract import STATUS_SIZE, Features, Inputs
from navforge.models.modules import Encoder


class EgoStatusEncoder(Encoder):
    """The ego status as one token of width 8."""

    channels = STATUS_SIZE

    def forward(self, inputs: Inputs) -> Features:
        """(B, 1, 8) tokens."""
        return Features(inputs["status"][:, None])

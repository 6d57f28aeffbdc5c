"""No sensors: the only token is the ego status itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from navforge.models.contract import STATUS_SIZE, Encoder, EncoderConfig, Features, Inputs


@dataclass(frozen=True, kw_only=True)
class EgoStatusConfig(EncoderConfig):
    """Has nothing to set."""

    kind: ClassVar[str] = "ego_status"

    def build(self, *, pretrained: bool = True) -> EgoStatusEncoder:
        """The encoder; it has no weights."""
        return EgoStatusEncoder()


class EgoStatusEncoder(Encoder):
    """The ego status as one token of width 8."""

    channels = STATUS_SIZE

    def forward(self, inputs: Inputs) -> Features:
        """(B, 1, 8) tokens."""
        return Features(inputs["status"][:, None])

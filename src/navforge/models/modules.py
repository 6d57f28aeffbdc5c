"""Bases of encoders and heads: torch modules that keep to `models.contract`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from navforge.models.contract import FEATURES, Features, HeadInput, HeadOutput, Inputs, PlannerOutput, Targets
from navforge.models.frozen import frozen_names


class Encoder(nn.Module, ABC):
    """Inputs to features."""

    channels: int
    """Width D of a token."""
    bev_channels: int = 0
    """Channels C of the bird's-eye-view features; 0 if there are none."""

    def frozen_names(self) -> set[str]:
        """Names in the encoder's state of what training never changes."""
        return set()

    def depths(self) -> dict[str, int]:
        """Name of a parameter to its block, counted from the input, for learning rates that fall with depth."""
        return {}

    def blocks(self) -> Sequence[nn.Module]:
        """Layers that take and return plain tensors and whose weights FSDP gathers one at a time."""
        return ()

    def undecayed_names(self) -> set[str]:
        """Names of parameters that weight decay leaves alone, beside norms and biases."""
        return set()

    @abstractmethod
    def forward(self, inputs: Inputs) -> Features:
        """Tokens, and bird's-eye-view features if `bev_channels` says so."""


class TrunkEncoder(Encoder):
    """An encoder in two stages: a trunk, which may be frozen, and what learns on top of its tokens.

    A feature store holds what `trunk_tokens` returns; `forward` takes it from the inputs where it is there.
    """

    def frozen_names(self) -> set[str]:
        """All of its state but what learns and the running statistics beside it."""
        return frozen_names(self)

    @abstractmethod
    def trunk_tokens(self, inputs: Inputs) -> Tensor:
        """(B, L, D) tokens of the trunk."""

    @abstractmethod
    def adapt(self, tokens: Tensor) -> Features:
        """Features of the trunk's tokens."""

    def forward(self, inputs: Inputs) -> Features:
        """Features of images, or of the trunk's tokens computed before."""
        return self.adapt(inputs[FEATURES].float() if FEATURES in inputs else self.trunk_tokens(inputs))


class Head(nn.Module, ABC):
    """Tokens and ego status to a plan."""

    @abstractmethod
    def forward(self, head_input: HeadInput) -> HeadOutput:
        """What `loss` and `plan` need, computed once."""

    @abstractmethod
    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Scalar loss terms by name, weights applied; `total` is their sum and what is minimised."""

    @abstractmethod
    def plan(self, output: HeadOutput) -> PlannerOutput:
        """The plan of each scene."""

"""`Planner`: an encoder and a head under one roof, built from a config."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from navforge.core.errors import ConfigError
from navforge.models.contract import BEV_SEMANTICS, HeadInput, HeadOutput, Inputs, PlannerOutput, Targets
from navforge.models.modules import Encoder, Head
from navforge.vocabulary.vocabulary import Vocabulary

if TYPE_CHECKING:
    from navforge.models.planner_config import PlannerConfig

VOCABULARY_KEY = "head.vocabulary"
"""Where the vocabulary lies in a planner's state, so that a checkpoint carries it."""


class Planner(nn.Module):
    """encoder(inputs) -> features; head(features, status) -> plan."""

    def __init__(self, config: PlannerConfig, vocabulary: Vocabulary | None, *, pretrained: bool = True) -> None:
        """Build both.

        Raises:
            ConfigError: the two do not fit, or a part of the encoder would never learn.
        """
        super().__init__()
        self.config = config
        if config.head.teacher_columns and config.head.teacher_protocol is None:
            raise ConfigError(
                f"head {config.head.kind} has teacher_columns; its teacher_protocol must say of which rules"
            )
        self.encoder = _checked(config.encoder.build(pretrained=pretrained), Encoder, config.encoder.kind)
        if not isinstance(getattr(self.encoder, "channels", None), int):
            raise ConfigError(
                f"encoder {config.encoder.kind}: its attribute channels, the width of a token, is not set"
            )
        if self.encoder.bev_channels and BEV_SEMANTICS not in config.auxiliary_targets:
            raise ConfigError(
                f"planner.encoder.bev_channels: the {config.head.kind} head of {config.name} does not read "
                "bird's-eye-view features; set it to 0, or planner.head.perception.bev_semantics=true"
            )
        head = config.head.build(self.encoder.channels, vocabulary, bev_channels=self.encoder.bev_channels)
        self.head = _checked(head, Head, config.head.kind)
        if config.head.needs_vocabulary and VOCABULARY_KEY not in self.state_dict():
            raise ConfigError(
                f"head {config.head.kind} needs a vocabulary and does not keep it for checkpoints; in its constructor: "
                'self.register_buffer("vocabulary", torch.from_numpy(vocabulary.poses.copy()))'
            )

    def forward(self, inputs: Inputs) -> HeadOutput:
        """What the head computes for a batch of inputs (see `models.contract`)."""
        features = self.encoder(inputs)
        history = inputs["status_history"] if self.config.status_frames > 1 else None
        return self.head(HeadInput(features.tokens, inputs["status"], features.bev, history))

    def outside_names(self) -> set[str]:
        """Names in its state that checkpoints leave out: they never change and lie in the encoder's file."""
        return (
            {f"encoder.{name}" for name in self.encoder.frozen_names()}
            if self.config.encoder.outside_weights
            else set()
        )

    def learned_state(self) -> dict[str, Tensor]:
        """What a checkpoint holds of its state."""
        outside = self.outside_names()
        return {name: value for name, value in self.state_dict().items() if name not in outside}

    def load_learned(self, state: dict[str, Tensor]) -> None:
        """Inverse of `learned_state`; raises RuntimeError for a name that is missing or unknown."""
        load_all_but(self, state, self.outside_names())

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """The head's loss terms and `total`."""
        return self.head.loss(output, targets)

    @torch.inference_mode()
    def plan(self, inputs: Inputs) -> PlannerOutput:
        """Plans for a batch of inputs. The planner must be in `eval()` mode."""
        assert not self.training, "call eval() before planning"
        return self.head.plan(self(inputs))


def load_all_but(module: nn.Module, state: dict[str, Tensor], outside: set[str]) -> None:
    """Load a state strictly that may lack `outside`; raises RuntimeError naming what else is missing or unknown."""
    missing, unknown = module.load_state_dict(state, strict=False)
    if wrong := [*(set(missing) - outside), *unknown]:
        raise RuntimeError(f"{len(wrong)} names are missing or unknown, {min(wrong)} for one")


PartT = TypeVar("PartT")


def _checked(part: object, base: type[PartT], kind: str) -> PartT:
    """What `build` of a part returned, if it is a module of the right class."""
    if not isinstance(part, base):
        raise ConfigError(
            f"{base.__name__.lower()} {kind}: build returned a {type(part).__name__}, not a {base.__name__}"
        )
    return part

"""`Planner`: an encoder and a head under one roof, built from a config and loaded from a checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError, DataError
from navforge.models.checkpoints import Checkpoint, read_checkpoint
from navforge.models.contract import (
    BEV_SEMANTICS,
    EncoderConfig,
    HeadConfig,
    HeadInput,
    HeadOutput,
    Inputs,
    PlannerOutput,
    Targets,
)
from navforge.models.encoders import ENCODERS
from navforge.models.heads import HEADS
from navforge.models.histogram import HistogramConfig
from navforge.models.panorama import PanoramaConfig
from navforge.models.size_limit import parameters_at_most
from navforge.vocabulary.vocabulary import Vocabulary

_UNFIT = (
    RuntimeError,
    ValueError,
    TypeError,
    AssertionError,
    ArithmeticError,
    LookupError,
    AttributeError,
    MemoryError,
)
"""What building a network raises of a config that no network was trained with."""
VOCABULARY_KEY = "head.vocabulary"
"""Where the vocabulary lies in a planner's state, so that a checkpoint carries it."""


@dataclass(frozen=True, kw_only=True)
class PlannerConfig:
    """A planner by name; a name with `vN` in it (hydra_mdp_v8192) works with vocabularies of N entries only."""

    name: str = key(help="name of the planner")
    encoder: EncoderConfig = key(help="sensors to tokens")
    head: HeadConfig = key(help="tokens to a plan")

    @property
    def panorama(self) -> PanoramaConfig | None:
        """The camera input to prepare for this planner, or None."""
        return self.encoder.cameras

    @property
    def lidar(self) -> HistogramConfig | None:
        """The LiDAR input to prepare for this planner, or None."""
        return self.encoder.lidar

    @property
    def auxiliary_targets(self) -> tuple[str, ...]:
        """Perception targets to prepare for training (`models.contract.AUXILIARY_TARGETS`)."""
        return self.head.auxiliary_targets

    @property
    def stated_vocabulary_size(self) -> int | None:
        """N of a name that says `vN`, else None."""
        stated = re.search(r"(?:^|_)v(\d{2,})(?:_|$)", self.name)
        return int(stated.group(1)) if stated else None

    def build(self, vocabulary: Vocabulary | None = None, *, pretrained: bool = True) -> Planner:
        """The planner with fresh weights; `pretrained=False` leaves files of pretrained weights unread.

        Raises:
            ConfigError: a vocabulary is needed but missing, or has another size than the name says.
        """
        if self.head.needs_vocabulary and vocabulary is None:
            raise ConfigError(f"{self.name} chooses from a vocabulary; give vocabulary=FILE.npy")
        stated = self.stated_vocabulary_size
        if vocabulary is not None and stated is not None and stated != vocabulary.size:
            raise ConfigError(
                f"{self.name} says {stated} vocabulary entries, the vocabulary given has {vocabulary.size} "
                f"(fingerprint {vocabulary.fingerprint}); give the right file or another planner"
            )
        return Planner(self, vocabulary, pretrained=pretrained)


class Planner(nn.Module):
    """encoder(inputs) -> features; head(features, status) -> plan."""

    def __init__(self, config: PlannerConfig, vocabulary: Vocabulary | None, *, pretrained: bool = True) -> None:
        """Build both.

        Raises:
            ConfigError: the two do not fit, or a part of the encoder would never learn.
        """
        super().__init__()
        self.config = config
        self.encoder = config.encoder.build(pretrained=pretrained)
        if self.encoder.bev_channels and BEV_SEMANTICS not in config.auxiliary_targets:
            raise ConfigError(
                f"planner.encoder.bev_channels: the {config.head.kind} head of {config.name} does not read "
                "bird's-eye-view features; set it to 0, or planner.head.perception.bev_semantics=true"
            )
        self.head = config.head.build(self.encoder.channels, vocabulary, bev_channels=self.encoder.bev_channels)

    def forward(self, inputs: Inputs) -> HeadOutput:
        """What the head computes for a batch of inputs (see `models.contract`)."""
        features = self.encoder(inputs)
        return self.head(HeadInput(features.tokens, inputs["status"], features.bev))

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """The head's loss terms and `total`."""
        return self.head.loss(output, targets)

    @torch.inference_mode()
    def plan(self, inputs: Inputs) -> PlannerOutput:
        """Plans for a batch of inputs. The planner must be in `eval()` mode."""
        assert not self.training, "call eval() before planning"
        return self.head.plan(self(inputs))


def planner_to_dict(config: PlannerConfig) -> dict[str, Any]:
    """Plain values that name the kinds of encoder and head beside their keys."""
    return {
        "name": config.name,
        "encoder": {"kind": config.encoder.kind, **configs.to_dict(config.encoder)},
        "head": {"kind": config.head.kind, **configs.to_dict(config.head)},
    }


def planner_from_dict(values: dict[str, Any]) -> PlannerConfig:
    """Inverse of `planner_to_dict`.

    Raises:
        ConfigError: an unknown kind or key.
    """
    try:
        name, encoder, head = values["name"], dict(values["encoder"]), dict(values["head"])
        encoder_class = _of_kind(ENCODERS, encoder.pop("kind"))
        head_class = _of_kind(HEADS, head.pop("kind"))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"a planner config has name, encoder and head, each of a kind; {error} is missing") from error
    return PlannerConfig(
        name=name, encoder=configs.from_dict(encoder_class, encoder), head=configs.from_dict(head_class, head)
    )


def _of_kind(known: tuple[type[Any], ...], kind: str) -> type[Any]:
    for cls in known:
        if cls.kind == kind:
            return cls
    raise ConfigError(f"unknown kind {kind!r}; known: {', '.join(cls.kind for cls in known)}")


def load_planner(checkpoint: Path | str | Checkpoint, device: str | torch.device = "cpu") -> Planner:
    """The trained planner of a checkpoint, in `eval()` mode.

    Nothing but the checkpoint is needed: it holds config, weights and vocabulary.

    Raises:
        DataError: not a navforge checkpoint, damaged, holding anything but plain values and tensors, weights that do
            not fit its own config exactly, or a vocabulary that is not the one it was trained with.
    """
    found = checkpoint if isinstance(checkpoint, Checkpoint) else read_checkpoint(checkpoint)
    try:
        config = planner_from_dict(found.planner)
        with parameters_at_most(sum(tensor.numel() for tensor in found.state.values())):
            planner = config.build(_vocabulary(found), pretrained=False)
        planner.load_state_dict(found.state, strict=True)
    except _UNFIT as error:
        raise DataError(
            f"{found.path}: the weights do not fit the config stored with them: {str(error)[:500]}"
        ) from error
    return planner.eval().to(device)


def _vocabulary(found: Checkpoint) -> Vocabulary | None:
    poses = found.state.get(VOCABULARY_KEY)
    if poses is None:
        return None
    vocabulary = Vocabulary(poses.numpy())
    stated = found.facts.get("fingerprints", {}).get("vocabulary")
    if stated != vocabulary.fingerprint:
        raise DataError(
            f"{found.path}: the vocabulary inside has fingerprint {vocabulary.fingerprint}, the planner was trained "
            f"with {stated}; the file is damaged"
        )
    return vocabulary

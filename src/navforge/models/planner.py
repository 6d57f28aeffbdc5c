"""`Planner`: an encoder and a head under one roof, built from a config and loaded from a checkpoint."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from navforge.core import config as configs
from navforge.core import extensions
from navforge.core.config import key
from navforge.core.errors import ConfigError, DataError
from navforge.core.outside.files import shown
from navforge.core.screen import say
from navforge.models import encoders, heads
from navforge.models.checkpoints import Checkpoint, read_checkpoint
from navforge.models.contract import (
    BEV_SEMANTICS,
    Encoder,
    EncoderConfig,
    Head,
    HeadConfig,
    HeadInput,
    HeadOutput,
    Inputs,
    PlannerOutput,
    Targets,
)
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
    def classes(self) -> tuple[type, type]:
        """Of encoder and head: whose code plans, for the provenance of results."""
        return type(self.encoder), type(self.head)

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
        return self.head(HeadInput(features.tokens, inputs["status"], features.bev))

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """The head's loss terms and `total`."""
        return self.head.loss(output, targets)

    @torch.inference_mode()
    def plan(self, inputs: Inputs) -> PlannerOutput:
        """Plans for a batch of inputs. The planner must be in `eval()` mode."""
        assert not self.training, "call eval() before planning"
        return self.head.plan(self(inputs))


PartT = TypeVar("PartT")


def _checked(part: object, base: type[PartT], kind: str) -> PartT:
    """What `build` of a part returned, if it is a module of the right class."""
    if not isinstance(part, base):
        raise ConfigError(
            f"{base.__name__.lower()} {kind}: build returned a {type(part).__name__}, not a {base.__name__}"
        )
    return part


def planner_to_dict(config: PlannerConfig) -> dict[str, Any]:
    """Plain values that name the kinds of encoder and head beside their keys."""
    return {
        "name": config.name,
        "encoder": {"kind": config.encoder.kind, **configs.to_dict(config.encoder)},
        "head": {"kind": config.head.kind, **configs.to_dict(config.head)},
    }


def planner_from_dict(values: dict[str, Any]) -> PlannerConfig:
    """Inverse of `planner_to_dict`; a kind may be of another package (`core.extensions`), whose module is imported.

    Raises:
        ConfigError: an unknown kind or key, or a class of another package that cannot be used.
    """
    try:
        name, encoder, head = values["name"], dict(values["encoder"]), dict(values["head"])
        kinds = str(encoder.pop("kind")), str(head.pop("kind"))
    except KeyError as error:
        raise ConfigError(f"a planner config has name, encoder and head, each of a kind; {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a planner config has name, encoder and head, each of a kind: {error}") from error
    if not isinstance(name, str):
        raise ConfigError(f"the name of a planner config is {shown(name)}")
    return PlannerConfig(
        name=name, encoder=_part(encoders.GROUP, kinds[0], encoder), head=_part(heads.GROUP, kinds[1], head)
    )


def _part(group: extensions.Group[PartT], kind: str, values: dict[str, Any]) -> PartT:
    cls = group.find(kind)
    try:
        return configs.from_dict(cls, values)
    except ConfigError as error:
        raise ConfigError(f"{group.noun} {kind}: {error}") from error


def load_planner(checkpoint: Path | str | Checkpoint, device: str | torch.device = "cpu") -> Planner:
    """The trained planner of a checkpoint, in `eval()` mode.

    Nothing but the checkpoint is needed: it holds config, weights and vocabulary. Encoders and heads of other packages
    it names only: they are imported, and if their code is not that of the training, a warning says so.

    Raises:
        DataError: not a navforge checkpoint, damaged, holding anything but plain values and tensors, weights that do
            not fit its own config exactly, a class that cannot be imported, or a vocabulary that is not the one it was
            trained with.
    """
    found = checkpoint if isinstance(checkpoint, Checkpoint) else read_checkpoint(checkpoint)
    recorded = _extensions(found)
    try:
        config = planner_from_dict(found.planner)
    except _UNFIT as error:
        places = ", ".join(f"{facts['module']} in {facts['file']}" for facts in recorded.values())
        text = str(error) if isinstance(error, ConfigError) else str(error)[:500]
        raise DataError(f"{found.path}: {text}" + (f"; it was trained with {places}" if places else "")) from error
    if changed := extensions.changes(config.classes, recorded):
        say(
            f"navforge: warning: {found.path} was trained with other code of {', '.join(changed)}; plans may differ",
            file=sys.stderr,
        )
    try:
        with parameters_at_most(sum(tensor.numel() for tensor in found.state.values())):
            planner = config.build(_vocabulary(found), pretrained=False)
        planner.load_state_dict(found.state, strict=True)
    except _UNFIT as error:
        trace = extensions.users_traceback(error, *(c.__module__ for c in config.classes if not extensions.is_own(c)))
        raise DataError(
            f"{found.path}: the weights do not fit the config stored with them: {str(error)[:500]}"
            + (f"\n{trace}" if trace else "")
        ) from error
    return planner.eval().to(device)


def _extensions(found: Checkpoint) -> dict[str, dict[str, Any]]:
    """What a checkpoint says of the classes of other packages that it was trained with, as far as it is well-formed."""
    provenance = found.facts.get("provenance")
    recorded = provenance.get("extensions") if isinstance(provenance, dict) else None
    kinds = {"module": str, "file": (str, type(None)), "sources": dict}
    return {
        name: facts
        for name, facts in (recorded.items() if isinstance(recorded, dict) else ())
        if isinstance(facts, dict) and all(isinstance(facts.get(key), kind) for key, kind in kinds.items())
    }


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

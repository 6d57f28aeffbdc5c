"""`PlannerConfig`: an encoder and a head under one name, and its plain form in checkpoints and run folders."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from navforge.core import config as configs
from navforge.core import extensions
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.core.outside.files import shown
from navforge.models import encoders, heads
from navforge.models.contract import EncoderConfig, HeadConfig
from navforge.models.histogram import HistogramConfig
from navforge.models.panorama import PanoramaConfig
from navforge.vocabulary.vocabulary import Vocabulary

if TYPE_CHECKING:
    from navforge.models.planner import Planner

PartT = TypeVar("PartT")


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
    def status_frames(self) -> int:
        """Frames of ego status to prepare for this planner, the current one among them."""
        return self.head.status_frames

    @property
    def auxiliary_targets(self) -> tuple[str, ...]:
        """Perception targets to prepare for training (`models.contract.AUXILIARY_TARGETS`)."""
        return self.head.auxiliary_targets

    @property
    def classes(self) -> tuple[type, type]:
        """Of encoder and head: whose code plans, for the provenance of results."""
        return type(self.encoder), type(self.head)

    def resolved(self) -> PlannerConfig:
        """The same, with its files here and all that they decide written into it."""
        self.encoder.fetch()
        return replace(self, encoder=self.encoder.resolved())

    def standing_alone(self) -> PlannerConfig:
        """The same for a checkpoint that holds every weight."""
        return replace(self, encoder=self.encoder.with_weights(None))

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
        from navforge.models.planner import Planner  # noqa: PLC0415 (loads torch)

        return Planner(self, vocabulary, pretrained=pretrained)


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

"""What an encoder and a head promise each other and the trainer.

Inputs travel as a dict of tensors, batch first: `status` (B, 8) float32 always, `status_history` (B, K, 8) when the
head's config asks for more frames of ego status than the current one (2 Hz, oldest first, the current one last, each in
its own ego frame), `panorama` (B, 3, H, W), of several views (B, V, 3, H, W), uint8 (or float in [0, 1]) when the
encoder's config asks for cameras, `lidar` (B, C, H, W) float32 in [0, 1] when it asks for a LiDAR histogram (see
`models.histogram`). Instead of camera images, `features` (B, L, D) may hold what the frozen trunk of a `TrunkEncoder`
made of them before. Which of them a planner needs is `PlannerConfig.status_frames`, `.panorama` and `.lidar`; which
perception targets its head learns from is `.auxiliary_targets`. Nothing else is read or decoded.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from navforge.core import config as configs
from navforge.core.extensions import is_own, name_of
from navforge.models.histogram import HistogramConfig
from navforge.models.panorama import PanoramaConfig
from navforge.vocabulary.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

    from navforge.models.modules import Encoder, Head

STATUS_SIZE = 8
"""Columns of the ego status: driving command one-hot (left, straight, right, unknown), vx, vy m/s, ax, ay m/s2."""

FEATURES = "features"
"""Input that holds a frozen trunk's tokens."""

AGENTS = "agents"
BEV_SEMANTICS = "bev_semantics"
AUXILIARY_TARGETS = (AGENTS, BEV_SEMANTICS)
"""What a head may ask for beside the human's plan and the teacher."""

Inputs: TypeAlias = "dict[str, Tensor]"


@dataclass(frozen=True)
class Features:
    """What an encoder makes of a batch."""

    tokens: Tensor
    """(B, L, D)."""
    bev: Tensor | None = None
    """(B, C, H, W) features of the ground around the ego vehicle, from encoders that have them."""


@dataclass(frozen=True)
class HeadInput:
    """What a head sees of a batch."""

    tokens: Tensor
    """(B, L, D) from the encoder."""
    status: Tensor
    """(B, 8) ego status."""
    bev: Tensor | None = None
    """(B, C, H, W) from the encoder, if it has them."""
    status_history: Tensor | None = None
    """(B, K, 8) ego status of `HeadConfig.status_frames` frames, the current one last; None where that is one."""

    @property
    def flat_status(self) -> Tensor:
        """(B, 8 K) ego status of all frames asked for, oldest first; (B, 8) of the current one alone."""
        return self.status if self.status_history is None else self.status_history.flatten(1)


@dataclass(frozen=True)
class HeadOutput:
    """What a head computes; each head has its own subclass, which only it reads."""


@dataclass(frozen=True)
class PlannerOutput:
    """Plans for a batch of scenes."""

    trajectories: Tensor
    """(B, T, 3) x m, y m, heading rad in the ego frame, the current pose left out."""
    interval_s: float
    """Time between poses; the first pose is one interval ahead."""
    scores: Tensor | None = None
    """(B, N) value by which an entry was chosen, for heads that choose from a vocabulary."""
    chosen: Tensor | None = None
    """(B,) index of the chosen entry."""


@dataclass(frozen=True)
class Targets:
    """What a head learns from."""

    human_poses: Tensor
    """(B, 8, 3) the human's plan at 2 Hz, ego frame."""
    teacher: dict[str, Tensor] = field(default_factory=dict)
    """Column name -> (B, N) sub-scores of every vocabulary entry."""
    agents: Tensor | None = None
    """(B, 30, 5) boxes of vehicles, nearest first: x, y m, heading rad, length, width m, ego frame; rest zeros."""
    agent_labels: Tensor | None = None
    """(B, 30) bool: which rows of `agents` hold a vehicle."""
    bev_semantics: Tensor | None = None
    """(B, 128, 256) class of the ground ahead of the ego vehicle, whole numbers (see `inputs.targets`)."""


class PartConfig(ABC):
    """Base of configs of encoders and heads."""

    kind: ClassVar[str]
    """How configs and checkpoints name the class; `package.module:Class` for all that are not navforge's own."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if is_own(cls):
            return
        if cls.__dict__.get("kind", name_of(cls)) != name_of(cls):
            raise TypeError(f"{cls.__name__}.kind: leave it out; navforge calls this class {name_of(cls)}")
        cls.kind = name_of(cls)


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(PartConfig):
    """Base of encoder configs, each beside its encoder."""

    @property
    def cameras(self) -> PanoramaConfig | None:
        """The camera input to prepare, or None."""
        return None

    @property
    def lidar(self) -> HistogramConfig | None:
        """The LiDAR input to prepare, or None."""
        return None

    @property
    def is_frozen(self) -> bool:
        """Whether it is a `TrunkEncoder` whose trunk never learns, so that its tokens can be computed once."""
        return False

    @property
    def outside_weights(self) -> int:
        """Most numbers that checkpoints leave out because they lie in a file and never change; 0 for none.

        Raises:
            DataError: that file is not here.
        """
        return 0

    def trunk_key(self) -> dict[str, Any]:
        """Keys that decide the tokens of its trunk, as plain values; not those that say which weights are meant."""
        return {name: value for name, value in configs.to_dict(self).items() if name not in ("weights", "fingerprint")}

    def fetch(self) -> None:
        """Bring the files it needs onto this machine, where they can be downloaded and are not here."""

    def resolved(self) -> Self:
        """The same with all that its files decide written into it, so that another file is noticed."""
        return self

    def with_weights(self, weights: str | None) -> Self:
        """The same with its file elsewhere; with None it needs no file, and all its weights come from a checkpoint."""
        return self

    @abstractmethod
    def build(self, *, pretrained: bool = True) -> Encoder:
        """The encoder, weights fresh or, where the config names a file and `pretrained` is true, from that file."""


@dataclass(frozen=True, kw_only=True)
class HeadConfig(PartConfig):
    """Base of head configs, each beside its head."""

    needs_vocabulary: ClassVar[bool] = False
    """Whether the head chooses from a vocabulary, which it then registers as its buffer `vocabulary`."""

    @property
    def teacher_columns(self) -> tuple[str, ...]:
        """Teacher sub-scores the loss reads; empty for heads without a teacher."""
        return ()

    @property
    def teacher_protocol(self) -> str | None:
        """Protocol of these sub-scores, under which plans are also tried out; None for heads without a teacher."""
        return None

    @property
    def auxiliary_targets(self) -> tuple[str, ...]:
        """Of `AUXILIARY_TARGETS`, what the loss reads; empty for heads without perception."""
        return ()

    @property
    def status_frames(self) -> int:
        """Frames of ego status to prepare; where more than one, the head reads `HeadInput.status_history`."""
        return 1

    @abstractmethod
    def build(self, token_channels: int, vocabulary: Vocabulary | None, *, bev_channels: int = 0) -> Head:
        """The head for tokens of width `token_channels` (and such BEV features), weights fresh."""


def __getattr__(name: str) -> Any:
    """`Encoder`, `TrunkEncoder` and `Head`, the bases that load torch, when first used (`models.modules`)."""
    if name in ("Encoder", "TrunkEncoder", "Head"):
        return getattr(importlib.import_module("navforge.models.modules"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

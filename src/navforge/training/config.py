"""How a planner is trained, and what of it holds for everything that is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.errors import ConfigError

FREE = (
    "accelerator",
    "strategy",
    "compile",
    "keep_inputs",
    "loader_workers",
    "smoke_scenes",
    "checkpoint_minutes",
    "keep_best",
    "tolerate_corrupt",
    "rendezvous_timeout_s",
    "loggers",
)
"""Keys of `train` that a resumed run may change: they do not decide what is learnt, but how and where."""


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Random changes of training inputs; drawn per scene."""

    brightness: float = key(0.0, "largest relative change of brightness", low=0.0, high=1.0)
    contrast: float = key(0.0, "largest relative change of contrast", low=0.0, high=1.0)
    saturation: float = key(0.0, "largest relative change of saturation", low=0.0, high=1.0)
    noise: float = key(0.0, "standard deviation of pixel noise, images being in [0, 1]", low=0.0, high=0.5)
    status_dropout: float = key(0.0, "probability that velocity and acceleration are hidden", low=0.0, high=1.0)
    whole_status_dropout: float = key(
        0.0, "probability that the whole ego status is hidden, driving command included", low=0.0, high=1.0
    )


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """The part of the training split that is learned from (`data.label_subsets`)."""

    fraction: float = key(
        1.0, "share of the split's scenes to train on; smaller ones are part of larger ones", high=1.0
    )
    by: str = key("log", "what is taken whole", choices=("log", "scene"))

    def __post_init__(self) -> None:
        """Raise ConfigError for no share at all."""
        if not self.fraction > 0:
            raise ConfigError(f"labels.fraction: expected a share above 0 and up to 1, got {self.fraction}")


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Optimiser, schedule, loader and machine of a run, whatever it trains."""

    epochs: int = key(20, "passes over the split, each followed by validation and a checkpoint", low=1)
    updates: int | None = key(
        None,
        "optimiser steps of the whole run, shared out evenly over its epochs, which are then no passes over the split: "
        "runs on different splits learn for equally long; null: an epoch is a pass",
        low=1,
    )
    batch_size: int | None = key(32, "scenes per step and rank", low=1, none="auto")
    accumulate: int = key(1, "batches per rank that make one optimiser step", low=1)
    learning_rate: float = key(1e-4, "peak learning rate", low=0.0)
    layer_decay: float = key(
        1.0, "learning rate of a block of the encoder relative to the one above it", low=0.0, high=1.0
    )
    weight_decay: float = key(0.0, "decoupled weight decay (AdamW); norms, biases and embeddings excepted", low=0.0)
    schedule: str = key("constant", "learning rate over the run", choices=("constant", "one_cycle", "cosine"))
    warmup: float = key(0.2, "share of the run in which one_cycle and cosine rise", low=0.0, high=0.9)
    clip_gradient: float = key(0.0, "largest gradient norm; 0 for no limit", low=0.0)
    seed: int = key(0, "of weights, order and augmentation", low=0)
    order_seed: int | None = key(None, "of the order of scenes alone; auto: that of train.seed", low=0, none="auto")
    precision: str = key("32-true", "arithmetic", choices=("32-true", "16-mixed", "bf16-mixed"))
    accelerator: str = key("auto", "where to train", choices=("auto", "cpu", "gpu"))
    strategy: str = key(
        "auto", "how ranks share the work; auto: ddp if there are several", choices=("auto", "ddp", "fsdp")
    )
    compile: bool = key(False, "compile what is trained with torch.compile")
    keep_inputs: bool = key(
        True, "hold decoded inputs in memory instead of decoding them every epoch; no loader workers are then started"
    )
    loader_workers: int | None = key(
        0, "processes per rank that prepare batches; 0 in the training process", low=0, none="auto"
    )
    checkpoint_minutes: float = key(30.0, "longest time between two checkpoints", unit="min", low=0.0)
    keep_best: int = key(1, "best checkpoints that are kept", low=1)
    tolerate_corrupt: int = key(0, "corrupt samples replaced by their neighbours before the run stops", low=0)
    rendezvous_timeout_s: int = key(120, "how long ranks wait for each other at the start", unit="s", low=1)
    loggers: tuple[str, ...] = key((), "further loggers beside TensorBoard and CSV", choices=("wandb", "mlflow"))

    def __post_init__(self) -> None:
        """Raise ConfigError where epochs would differ in length."""
        if self.updates is not None and (rest := self.updates % self.epochs):
            fewer = self.updates - rest
            near = [str(number) for number in (fewer, fewer + self.epochs) if number]
            raise ConfigError(
                f"train.updates: {self.updates} cannot be shared out evenly over train.epochs={self.epochs}; give "
                f"{' or '.join(near)}"
            )

    @property
    def epoch_updates(self) -> int | None:
        """Optimiser steps of an epoch; None: those of a pass over the split."""
        return None if self.updates is None else self.updates // self.epochs


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LoopConfig):
    """How a planner is trained."""

    encoder_factor: float = key(1.0, "learning rate of the encoder relative to the head's", low=0.0)
    smoke_scenes: int = key(
        16, "scenes planned and scored before the first step and after the first validation; 0 for none", low=0
    )
    augment: AugmentConfig = key(AugmentConfig)


@dataclass(frozen=True, kw_only=True)
class AlignConfig:
    """A loss that draws the planner's image features towards those of a frozen encoder, in training alone."""

    features: Path | None = key(
        None, "feature store of that encoder and the training split (navforge encode); null: no such loss"
    )
    weight: float = key(0.5, "factor of the loss", low=0.0)
    target: str = key(
        "store",
        "store: tokens of the scene; random: those of another scene of the batch, a control that must not help",
        choices=("store", "random"),
    )

    def __post_init__(self) -> None:
        """Raise ConfigError for keys that do nothing."""
        if self.features is None and (self.weight, self.target) != (AlignConfig.weight, AlignConfig.target):
            raise ConfigError(
                "align.features: align.weight and align.target do nothing without it; give a feature store"
            )

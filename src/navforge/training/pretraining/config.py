"""Keys of a pre-training run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.models.panorama import CAMERAS, FRONT
from navforge.training.config import LoopConfig
from navforge.training.pretraining.masking import MaskConfig, Span, require_span
from navforge.training.run_base import RunBase

ENCODER = "encoder"
"""Folder of the result in the run folder."""
ALL, SCENES = "all", "scenes"


@dataclass(frozen=True, kw_only=True)
class VitConfig:
    """A vision transformer on square images; the defaults are ViT-S/16."""

    image_size: int = key(224, "side of the image the encoder sees", unit="px", low=16, high=4096)
    patch_size: int = key(16, "side of a patch", unit="px", low=2, high=256)
    width: int = key(384, "channels of a token", low=8)
    depth: int = key(12, "layers", low=1)
    attention_heads: int = key(6, "attention heads of a layer", low=1)

    def __post_init__(self) -> None:
        """Raise ConfigError where sizes do not divide each other."""
        if self.image_size % self.patch_size:
            raise ConfigError(
                f"encoder.image_size: {self.image_size} is not a multiple of encoder.patch_size={self.patch_size}"
            )
        require_width("encoder", self.width, self.attention_heads)

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, kw_only=True)
class PredictorConfig:
    """The predictor, narrower than the encoder; it is thrown away after pre-training."""

    width: int = key(192, "channels of a token", low=8)
    depth: int = key(6, "layers", low=1)
    attention_heads: int = key(6, "attention heads of a layer", low=1)

    def __post_init__(self) -> None:
        """Raise ConfigError where sizes do not divide each other."""
        require_width("predictor", self.width, self.attention_heads)


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """Random crops of frames, a frame being brought to a square first; the defaults are the public code's."""

    scale: Span = key((0.3, 1.0), "smallest and largest share of the frame in a crop")
    aspect: Span = key((0.75, 4 / 3), "smallest and largest width over height of a crop of the square frame")

    def __post_init__(self) -> None:
        """Raise ConfigError for spans that are none."""
        require_span("crops.scale", self.scale, high=1.0)
        require_span("crops.aspect", self.aspect)


@dataclass(frozen=True, kw_only=True)
class PretrainLoopConfig(LoopConfig):
    """The loop's keys with the paper's values, but for batch size and epochs."""

    epochs: int = key(100, "passes over the frames", low=1)
    batch_size: int | None = key(128, "frames per step and rank", low=1, none="auto")
    learning_rate: float = key(1e-3, "peak learning rate", low=0.0)
    weight_decay: float = key(0.04, "decoupled weight decay at the start; norms and biases excepted", low=0.0)
    schedule: str = key("cosine", "learning rate over the run", choices=("constant", "one_cycle", "cosine"))
    warmup: float = key(0.1, "share of the run in which one_cycle and cosine rise", low=0.0, high=0.9)
    keep_inputs: bool = key(False, "hold decoded frames in memory; no loader workers are then started")
    loader_workers: int | None = key(
        None, "processes per rank that prepare batches; 0 in the training process", low=0, none="auto"
    )


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunBase):
    """Keys of `navforge pretrain`."""

    method: str = key("ijepa", "objective", choices=("ijepa",))
    frames: str = key(ALL, "all frames of the split's logs, or the current frames of its scenes", choices=(ALL, SCENES))
    cameras: tuple[str, ...] = key((FRONT,), "cameras whose frames are learned from", choices=CAMERAS)
    momentum: float = key(0.996, "momentum of the target encoder at the start; it rises to 1", low=0.0, high=1.0)
    final_weight_decay: float = key(0.4, "weight decay at the end of the run", low=0.0)
    encoder: VitConfig = key(VitConfig)
    predictor: PredictorConfig = key(PredictorConfig)
    masks: MaskConfig = key(MaskConfig)
    crops: CropConfig = key(CropConfig)
    train: PretrainLoopConfig = key(PretrainLoopConfig)

    def __post_init__(self) -> None:
        """Raise ConfigError for cameras that are none, and for FSDP."""
        super().__post_init__()
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise ConfigError(f"cameras: expected cameras, each once, got {list(self.cameras)}")
        if self.train.strategy == "fsdp":
            raise ConfigError("train.strategy: pre-training has no fsdp, only ddp; leave it at auto")

    @property
    def title(self) -> str:
        """The method."""
        return self.method

    @property
    def subject(self) -> dict[str, Any]:
        """Everything that decides what is learnt, but for `train`."""
        names = ("frames", "momentum", "final_weight_decay")
        groups = ("encoder", "predictor", "masks", "crops")
        return {
            "method": self.method,
            "cameras": list(self.cameras),
            **{name: getattr(self, name) for name in names},
            **{name: configs.to_dict(getattr(self, name)) for name in groups},
        }

    @property
    def files(self) -> dict[str, Path | None]:
        """Logs and images."""
        return {"data.logs": self.data.logs, "data.sensors": self.data.sensors}

    @property
    def result(self) -> Path:
        """The folder of the encoder."""
        return self.out / ENCODER

    @property
    def result_name(self) -> str:
        """In words."""
        return "the encoder, for transformers and weights="

    @property
    def frame_size(self) -> int:
        """Side in pixels to which frames are brought, so that the smallest crop is not enlarged."""
        return math.ceil(self.encoder.image_size / math.sqrt(self.crops.scale[0]))


def require_width(name: str, width: int, attention_heads: int) -> None:
    """Raise ConfigError for a width that place embeddings or attention heads cannot share."""
    if width % 4 or width % attention_heads:
        raise ConfigError(
            f"{name}.width: {width} is not a multiple of 4 and of {name}.attention_heads={attention_heads}"
        )

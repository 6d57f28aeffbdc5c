"""Configs of the encoders; none loads torch before it builds its encoder."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from navforge.core.config import key, to_dict
from navforge.core.errors import ConfigError
from navforge.models.contract import EncoderConfig
from navforge.models.encoders.weight_files import download, find_weights
from navforge.models.histogram import HistogramConfig
from navforge.models.panorama import ANTIALIASED, BILINEAR, CAMERAS, FRONT, PanoramaConfig

if TYPE_CHECKING:
    from navforge.models.encoders.ego_status import EgoStatusEncoder
    from navforge.models.encoders.timm_camera import TimmCameraEncoder
    from navforge.models.encoders.transfuser import TransfuserEncoder
    from navforge.models.encoders.vision import VisionEncoder

V2_99 = "v2_99"
"""What `TimmCameraConfig.network` calls DD3D's VoVNet-99 (`encoders.vovnet`)."""


@dataclass(frozen=True, kw_only=True)
class EgoStatusConfig(EncoderConfig):
    """Has nothing to set."""

    kind: ClassVar[str] = "ego_status"

    def build(self, *, pretrained: bool = True) -> EgoStatusEncoder:
        """The encoder; it has no weights."""
        from navforge.models.encoders.ego_status import EgoStatusEncoder  # noqa: PLC0415 (loads torch)

        return EgoStatusEncoder()


@dataclass(frozen=True, kw_only=True)
class TimmCameraConfig(EncoderConfig):
    """Camera encoder of the Hydra-MDP family (planner specifications 3.1, "public code")."""

    kind: ClassVar[str] = "timm_camera"

    panorama: PanoramaConfig = key(PanoramaConfig)
    network: str = key("resnet34", f"name of a timm model that can return feature maps, or {V2_99} (DD3D's VoVNet-99)")
    stem_width: int = key(0, "ResNets only: width of the first convolution; 0 keeps the network's own", low=0)
    stage_widths: tuple[int, ...] = key((), "ResNets only: channels of the four stages; empty keeps the network's own")
    stage: int = key(-1, "which of the network's feature maps is used; -1 the last")
    weights: Path | None = key(None, "file of the network's weights (.pth or .safetensors); null starts at random")
    token_rows: int = key(16, "rows of the token grid", low=1, high=1024)
    token_columns: int = key(64, "columns of the token grid", low=1, high=1024)
    channels: int = key(256, "width of a token", low=1)
    normalise: bool = key(True, "scale pixels by ImageNet's mean and deviation; false leaves them in [0, 1]")
    frozen_norms: bool = key(False, "batch norms keep the running mean and variance they were loaded with")
    checkpoint: bool = key(False, "recompute the network's activations in the backward pass instead of keeping them")

    @property
    def is_v2_99(self) -> bool:
        """Whether the network is DD3D's, which timm does not have."""
        return self.network == V2_99

    @property
    def cameras(self) -> PanoramaConfig | None:
        """The panorama."""
        return self.panorama

    def build(self, *, pretrained: bool = True) -> TimmCameraEncoder:
        """The encoder, its network loaded from `weights` where given."""
        from navforge.models.encoders.timm_camera import TimmCameraEncoder  # noqa: PLC0415 (loads torch)

        return TimmCameraEncoder(self if pretrained else replace(self, weights=None))


@dataclass(frozen=True, kw_only=True)
class TransfuserConfig(EncoderConfig):
    """Defaults are the published sizes (planner specifications 4); `latent` makes it LTF."""

    kind: ClassVar[str] = "transfuser"
    stride: ClassVar[int] = 32
    """Pixels per token, the reduction of a trunk's last stage."""

    panorama: PanoramaConfig = key(PanoramaConfig)
    histogram: HistogramConfig = key(HistogramConfig)
    latent: bool = key(False, "LTF: a learned grid takes the place of the LiDAR histogram, no LiDAR is read")
    network: str = key("resnet34", "timm model of both trunks, with four stages of stride 4 to 32")
    stem_width: int = key(0, "ResNets only: width of the first convolution; 0 keeps the network's own", low=0)
    stage_widths: tuple[int, ...] = key((), "ResNets only: channels of the four stages; empty keeps the network's own")
    weights: Path | None = key(None, "file of the camera trunk's weights (.pth, .safetensors); null starts at random")
    fusion_layers: int = key(2, "transformer blocks of each fusion", low=1, high=100)
    fusion_heads: int = key(4, "attention heads of each fusion", low=1)
    dropout: float = key(0.1, "dropout in the fusions", low=0.0, high=0.9)
    channels: int = key(256, "width of a token", low=1)
    bev_channels: int = key(64, "channels of the bird's-eye-view features; 0 for none", low=0)

    def __post_init__(self) -> None:
        """Raise ConfigError for sizes that are no whole number of tokens."""
        sizes = {
            "panorama.height": self.panorama.height,
            "panorama.width": self.panorama.width,
            "histogram": self.histogram.size,
        }
        for name, size in sizes.items():
            if size % self.stride:
                raise ConfigError(f"planner.encoder.{name}: expected a multiple of {self.stride} px, got {size}")

    @property
    def cameras(self) -> PanoramaConfig | None:
        """The panorama."""
        return self.panorama

    @property
    def lidar(self) -> HistogramConfig | None:
        """The histogram, None for LTF."""
        return None if self.latent else self.histogram

    def build(self, *, pretrained: bool = True) -> TransfuserEncoder:
        """The encoder, its camera trunk loaded from `weights` where given."""
        from navforge.models.encoders.transfuser import TransfuserEncoder  # noqa: PLC0415 (loads torch)

        return TransfuserEncoder(self if pretrained else replace(self, weights=None))


@dataclass(frozen=True, kw_only=True)
class VisionConfig(EncoderConfig):
    """An image network from files, or a random one; what of it learns, and which tokens of it the head sees.

    The defaults are the view of the I-JEPA planners (planner specifications 5): the front camera as a square.
    """

    kind: ClassVar[str] = "vision"

    weights: str | None = key(
        None,
        "folder in the Hugging Face layout, file of a timm network, or a name of the Hub (facebook/ijepa_vith14_1k); "
        "null starts at random",
    )
    network: str | None = key(
        None, "timm model, or model_type of transformers such as ijepa; null: what the folder of weights says"
    )
    architecture: str | None = key(
        None, "JSON mapping over the network's default architecture; null: what the folder of weights says"
    )
    fingerprint: str | None = key(None, "fingerprint the weights must have; null: any")
    view: str = key(
        "front",
        "front: one camera as it is; panorama: cameras side by side; cameras: each as it is, encoded one by one",
        choices=("front", "panorama", "cameras"),
    )
    names: tuple[str, ...] | None = key(
        None, "cameras of the view; null: CAM_F0, for others CAM_L0, CAM_F0, CAM_R0", choices=CAMERAS
    )
    frames: int = key(1, "frames at 2 Hz, the current one last; a clip for networks of video", low=1, high=4)
    height: int = key(224, "height the view is scaled to, whatever its aspect ratio", unit="px", low=16, high=16384)
    width: int = key(224, "width the view is scaled to", unit="px", low=16, high=16384)
    resize: str = key(
        ANTIALIASED,
        "scaling: antialiased (Pillow), as the networks were trained; bilinear (OpenCV)",
        choices=(ANTIALIASED, BILINEAR),
    )
    quality: int | None = key(None, "JPEG quality at which the view is seen; null: exact", low=50, high=100)
    tokens: str = key(
        "all",
        "all: of every patch; grid: averaged to rows x columns; mean: one; class: the class token; attention: queries "
        "that learn what to look for",
        choices=("all", "grid", "mean", "class", "attention"),
    )
    rows: int = key(4, "tokens=grid: rows", low=1, high=1024)
    columns: int = key(4, "tokens=grid: columns", low=1, high=1024)
    queries: int = key(1, "tokens=attention: tokens that come out", low=1, high=1024)
    attention_heads: int = key(8, "tokens=attention: heads", low=1)
    tune: str = key(
        "frozen",
        "what of the network learns: nothing, its last blocks, low-rank additions (LoRA), or all",
        choices=("frozen", "last_blocks", "lora", "full"),
    )
    blocks: int = key(4, "tune=last_blocks: blocks that learn, with the norm after them", low=1)
    lora_rank: int = key(8, "tune=lora: rank of the additions", low=1)
    lora_alpha: int = key(16, "tune=lora: the additions are scaled by this over the rank", low=1)
    lora_where: tuple[str, ...] = key(
        ("attention",), "tune=lora: linear layers of a block that get one", choices=("attention", "mlp")
    )
    checkpoint: bool = key(False, "recompute the network's activations in the backward pass instead of keeping them")

    def __post_init__(self) -> None:
        """Raise ConfigError for cameras that do not fit the view."""
        if self.view == "front" and self.names is not None and len(self.names) != 1:
            raise ConfigError(f"planner.encoder.names: view=front is one camera, got {list(self.names)}")

    @property
    def cameras(self) -> PanoramaConfig:
        """The view."""
        settings: dict[str, Any] = {
            name: getattr(self, name) for name in ("frames", "height", "width", "resize", "quality")
        }
        names = self.names or ((FRONT,) if self.view == "front" else None)
        if names is not None:
            settings["names"] = names
        if self.view != "panorama":
            settings |= {"crop_rows": 0.0, "crop_columns": 0.0, "stitched": False}
        return PanoramaConfig(**settings)

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of the network learns."""
        return self.tune == "frozen"

    @property
    def outside_weights(self) -> int:
        """Numbers of the weights file, of which what never changes is not in checkpoints."""
        if self.weights is None or self.tune == "full":
            return 0
        return find_weights(self.weights).size  # a byte or more each

    def trunk_key(self) -> dict[str, Any]:
        """Network, view, and how its tokens are reduced; an attention pool learns on top of all of them."""
        tokens = "all" if self.tokens == "attention" else self.tokens
        names = ("network", "architecture", "view", "names", "frames", "height", "width", "resize", "quality")
        grid = ("rows", "columns") if tokens == "grid" else ()
        values = to_dict(self)
        return {**{name: values[name] for name in (*names, *grid)}, "tokens": tokens}

    def fetch(self) -> None:
        """Download weights that are named by the Hub's name, once."""
        if self.weights is not None:
            download(self.weights)

    def resolved(self) -> VisionConfig:
        """With the fingerprint of the weights, the architecture that a folder states, and the path made absolute."""
        if self.weights is None:
            return self
        held = find_weights(self.weights)
        there = Path(self.weights).expanduser()
        told: dict[str, Any] = {"fingerprint": self.fingerprint or held.fingerprint}
        if there.exists():
            told["weights"] = str(there.absolute())
        if held.is_folder:
            architecture = held.architecture()
            told |= {"network": architecture["model_type"], "architecture": json.dumps(architecture, sort_keys=True)}
        return replace(self, **told)

    def with_weights(self, weights: str | None) -> VisionConfig:
        """The file elsewhere, or none."""
        return replace(self, weights=weights, fingerprint=None if weights is None else self.fingerprint)

    def build(self, *, pretrained: bool = True) -> VisionEncoder:
        """The encoder, its network loaded from `weights` where given."""
        from navforge.models.encoders.vision import VisionEncoder  # noqa: PLC0415 (loads torch)

        return VisionEncoder(self, pretrained=pretrained)


ENCODERS: tuple[type[EncoderConfig], ...] = (EgoStatusConfig, TimmCameraConfig, TransfuserConfig, VisionConfig)
"""The encoders of this package."""

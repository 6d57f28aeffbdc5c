"""Image networks of transformers and timm under one roof: pixels to tokens.

The classes are theirs; a row of `FAMILIES` says what differs between those of transformers.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from navforge.core.errors import ConfigError, DataError
from navforge.models.encoders.timm_network import IMAGENET_MEAN, IMAGENET_STD, token_network
from navforge.models.encoders.weight_files import Weights
from navforge.models.timm_alone import timm

HALF = (0.5, 0.5, 0.5)
_FILE_OPTIONS = ("checkpoint_path", "cache_dir", "num_classes")
"""Arguments of `timm.create_model` that are not of the network."""
Size = tuple[int, int]
"""(H, W)."""


class ImageNetwork(nn.Module, ABC):
    """A network whose tokens are prefix tokens followed by those of a grid of patches, row by row."""

    channels: int
    """Width D of a token."""
    prefix: int
    """Tokens before those of the grid: a class token first where there is one, and registers."""
    has_class: bool
    """Whether the first prefix token stands for the image."""
    grid: Size
    """Rows and columns of the grid."""
    clip_frames: int = 1
    """Frames that make one layer of the grid; above 1 for networks of video."""
    scale: tuple[list[float], list[float]]
    """Mean and deviation by which pixels in [0, 1] are scaled."""
    native: Size | None
    """Image size for which position embeddings were learned; None for networks that have none of one size."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Scaled pixels to all tokens.

        Args:
            pixels: (B, 3, H, W); networks of video take (B, F, 3, H, W) too.

        Returns:
            (B, prefix + L, D); L is that of the grid, for video times the layers that the frames make.
        """

    @abstractmethod
    def depths(self) -> dict[str, int]:
        """Name of a parameter to its block, counted from the input: 0 the embedding, the last with the norm behind."""

    def blocks(self) -> Sequence[nn.Module]:
        """Transformer blocks from the input on, as classes of their own; those of timm are one class, known by it."""
        return ()

    @abstractmethod
    def recompute_activations(self) -> None:
        """Compute each block's activations again in the backward pass instead of keeping them."""


@dataclass(frozen=True)
class Family:
    """What is particular to one family of vision transformers of `transformers`."""

    network: str
    """Class of the network."""
    tokens: Callable[[Any, Tensor], Tensor]
    """Network and scaled pixels to all tokens, position embeddings interpolated to the size of the image."""
    prefix: Callable[[PretrainedConfig], int] = lambda config: 0
    """Tokens before the patches; a class token is the first."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    """Scale of pixels where the folder has no `preprocessor_config.json`."""
    size_key: str = "image_size"
    interpolated: bool = True
    """Whether position embeddings belong to one image size and are interpolated for another."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of its config, for a network that only encodes."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of its constructor, likewise."""
    inner: str = ""
    """Part that encodes, where the network has others."""


def _interpolated(network: Any, pixels: Tensor) -> Tensor:
    return network(pixels, interpolate_pos_encoding=True).last_hidden_state


def _any_size(network: Any, pixels: Tensor) -> Tensor:
    return network(pixels).last_hidden_state


def _unmasked(network: Any, pixels: Tensor) -> Tensor:
    """ViT-MAE sorts patches by random numbers before it masks some: growing ones leave them in their order."""
    patch = network.config.patch_size
    count = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
    order = torch.arange(count, device=pixels.device, dtype=torch.float32).expand(len(pixels), count)
    return network(pixels, noise=order, interpolate_pos_encoding=True).last_hidden_state


def _patches(network: Any, pixels: Tensor) -> Tensor:
    """SigLIP 2's NaFlex takes flattened patches, colours last, and the grid's size."""
    patch = network.config.patch_size
    cells = pixels.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))  # (B, 3, rows, patch, columns, patch)
    rows, columns = cells.shape[2], cells.shape[4]
    flat = cells.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    shapes = torch.tensor([[rows, columns]], device=pixels.device).expand(len(pixels), 2)
    return network(flat, torch.ones_like(flat[..., 0], dtype=torch.int64), shapes).last_hidden_state


def _clip(network: Any, clip: Tensor) -> Tensor:
    """An image is a clip of one frame."""
    clip = clip[:, None] if clip.ndim == 4 else clip
    return network(pixel_values_videos=clip).last_hidden_state


def _one(_config: PretrainedConfig) -> int:
    return 1


def _registers(config: PretrainedConfig) -> int:
    return 1 + config.num_register_tokens


FAMILIES = {
    "ijepa": Family("IJepaModel", _interpolated),
    "vit": Family("ViTModel", _interpolated, _one, HALF, HALF, options={"add_pooling_layer": False}),
    "vit_mae": Family("ViTMAEModel", _unmasked, _one, settings={"mask_ratio": 0.0}),
    "dinov2": Family("Dinov2Model", _any_size, _one, settings={"use_mask_token": False}),
    "dinov2_with_registers": Family(
        "Dinov2WithRegistersModel", _any_size, _registers, settings={"use_mask_token": False}
    ),
    "dinov3_vit": Family("DINOv3ViTModel", _any_size, _registers, interpolated=False),
    "siglip": Family("SiglipVisionModel", _interpolated, mean=HALF, std=HALF, settings={"vision_use_head": False}),
    "siglip2": Family("Siglip2VisionModel", _patches, mean=HALF, std=HALF, settings={"vision_use_head": False}),
    "vjepa2": Family("VJEPA2Model", _clip, size_key="crop_size", interpolated=False, inner="encoder"),
}
"""By `model_type`."""


def family_of(model_type: str) -> Family | None:
    """The family of a `model_type`, None where none is known."""
    return FAMILIES.get(model_type.removesuffix("_vision_model"))


class TransformersNetwork(ImageNetwork):
    """A vision transformer of `transformers`."""

    def __init__(self, model_type: str, architecture: dict[str, Any], size: Size, weights: Weights | None) -> None:
        """Build or load.

        Args:
            model_type: of the family.
            architecture: values of its config.
            size: (H, W) of images, px.
            weights: a folder; None starts at random.

        Raises:
            ConfigError: the family is unknown, or cannot have images of this size.
            DataError: the folder's weights do not fit its config.
        """
        super().__init__()
        family = family_of(model_type)
        if family is None:
            raise ConfigError(
                f"planner.encoder.weights: {model_type!r} is no family of encoders known here: {', '.join(FAMILIES)}"
            )
        self.family = family
        cls: type[PreTrainedModel] = getattr(transformers, family.network)
        config = _config(cls, {**architecture, **family.settings})
        patch = _pair(config.patch_size)
        _require_patches(size, patch, family.network)
        native = _native(config, family, patch)
        if family.size_key == "crop_size":  # rotary positions count patches of this size
            if size[0] != size[1]:
                raise ConfigError(
                    f"planner.encoder: {family.network} takes square images only, got {size[0]}x{size[1]}"
                )
            config.crop_size = size[0]
        network = _load(cls, config, family, weights)
        if getattr(getattr(network, "embeddings", None), "mask_token", None) is not None:
            network.embeddings.mask_token = None  # type: ignore[union-attr]
        network.eval()
        self.network: nn.Module = getattr(network, family.inner) if family.inner else network
        self._whole = [network]  # not a submodule: parts that do not encode are left out
        self.channels = config.hidden_size
        self.prefix = family.prefix(config)
        self.has_class = self.prefix > 0
        self.grid = (size[0] // patch[0], size[1] // patch[1])
        self.clip_frames = getattr(config, "tubelet_size", 1)
        self.native = native if family.interpolated else None
        found = None if weights is None else weights.pixel_scale()
        self.scale = found or (list(family.mean), list(family.std))

    def forward(self, pixels: Tensor) -> Tensor:
        """All tokens."""
        return self.family.tokens(self.network, pixels)

    def depths(self) -> dict[str, int]:
        """By the place in the list of blocks."""
        name, blocks = self._named_blocks()
        return {parameter: _depth(parameter, name, len(blocks)) for parameter, _ in self.named_parameters()}

    def blocks(self) -> Sequence[nn.Module]:
        """Those of transformers' encoder."""
        return tuple(self._named_blocks()[1])

    def _named_blocks(self) -> tuple[str, nn.ModuleList]:
        """The list of blocks, found by its class, as releases of transformers differ in its name."""
        return next((name, part) for name, part in self.named_modules() if isinstance(part, nn.ModuleList))

    def recompute_activations(self) -> None:
        """By transformers' own switch."""
        self._whole[0].gradient_checkpointing_enable({"use_reentrant": False})


class TimmNetwork(ImageNetwork):
    """A network of timm: a vision transformer, or another whose last feature map is the grid."""

    def __init__(self, name: str, architecture: dict[str, Any], size: Size, weights: Weights | None) -> None:
        """Build or load.

        Args:
            name: of the timm model.
            architecture: further arguments of `timm.create_model`.
            size: (H, W) of images, px.
            weights: a file; None starts at random.

        Raises:
            ConfigError: no such network, or it cannot be built so.
            DataError: the file is missing, damaged or does not fit.
        """
        super().__init__()
        if foreign := [key for key in architecture if key.startswith("pretrained") or key in _FILE_OPTIONS]:
            raise ConfigError(f"planner.encoder.architecture: {foreign[0]} is no part of an architecture; use weights")
        self.network = token_network(
            name, image_size=size, options=architecture, weights=None if weights is None else weights.path
        ).eval()
        self.channels = int(self.network.num_features)  # type: ignore[arg-type]
        self.prefix = int(getattr(self.network, "num_prefix_tokens", 0))
        self.has_class = getattr(self.network, "cls_token", None) is not None
        with torch.no_grad():
            map_size = self._features(torch.zeros(1, 3, *size)).shape[1:]
        embedding = getattr(self.network, "patch_embed", None)
        self.grid = tuple(embedding.grid_size) if len(map_size) == 2 else (map_size[0], map_size[1])  # type: ignore[union-attr]
        settings: Any = self.network.pretrained_cfg
        self.native = tuple(settings["input_size"][1:]) if len(map_size) == 2 else None
        self.scale = list(settings["mean"]), list(settings["std"])

    def _features(self, pixels: Tensor) -> Tensor:
        """(B, prefix + L, D), or the last feature map as (B, rows, columns, D)."""
        found = self.network.forward_features(pixels)  # type: ignore[operator]
        return found.permute(0, 2, 3, 1) if found.ndim == 4 and found.shape[-1] != self.channels else found

    def forward(self, pixels: Tensor) -> Tensor:
        """All tokens."""
        found = self._features(pixels)
        return found.flatten(1, 2) if found.ndim == 4 else found

    def depths(self) -> dict[str, int]:
        """By timm's own grouping of parameters."""
        layers: Any = timm.models.group_parameters(self.network, self.network.group_matcher(), reverse=True)  # type: ignore[operator]
        return {f"network.{name}": int(layer) for name, layer in layers.items()}

    def recompute_activations(self) -> None:
        """By timm's own switch."""
        self.network.set_grad_checkpointing(True)  # type: ignore[operator]


def image_network(
    network: str | None, architecture: dict[str, Any], size: Size, weights: Weights | None
) -> ImageNetwork:
    """The network of a config.

    Args:
        network: a `model_type` of `FAMILIES` or the name of a timm model; None: what the folder of weights says.
        architecture: values of its config; those of the folder win.
        size: (H, W) of images, px.
        weights: its files; None starts at random.

    Raises:
        ConfigError: no network is named, or it is not known or cannot be built so.
        DataError: weights do not fit.
    """
    if weights is not None and weights.is_folder:
        architecture = weights.architecture()
        network = str(architecture.get("model_type"))
    elif network is None:
        if weights is None:
            raise ConfigError("planner.encoder: give weights, or network to start at random")
        raise ConfigError(f"planner.encoder.network: name the timm model whose weights {weights.path} holds")
    elif family_of(network) is not None:
        if weights is not None:
            raise ConfigError(
                f"planner.encoder.weights: {weights.path} is a file; {network} is read from a folder with config.json "
                "and model.safetensors"
            )
        return TransformersNetwork(network, architecture, size, None)
    else:
        if not timm.is_model(network):
            close = ", ".join(timm.list_models(f"*{network[:6]}*")[:8])
            raise ConfigError(
                f"planner.encoder.network: {network!r} is neither a timm model (similar: {close or 'none'}) nor one of "
                f"{', '.join(FAMILIES)}"
            )
        return TimmNetwork(network, architecture, size, weights)
    return TransformersNetwork(network, architecture, size, weights)


def _load(
    cls: type[PreTrainedModel], config: PretrainedConfig, family: Family, weights: Weights | None
) -> PreTrainedModel:
    if weights is None:
        return cls(config, **family.options)  # type: ignore[return-value]
    try:
        with _silent():
            network, report = cls.from_pretrained(  # type: ignore[misc]
                Path(weights.path),
                config=config,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
                **family.options,
            )
    except Exception as error:  # whatever the readers of safetensors and of configs stumble over
        raise DataError(f"planner.encoder.weights: {weights.path} cannot be loaded: {str(error)[:500]}") from error
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise DataError(
            f"planner.encoder.weights: {weights.path} lacks {len(missing)} parameters of {family.network}, "
            f"{missing[0]} for one"
        )
    return network


def _config(cls: type[PreTrainedModel], architecture: dict[str, Any]) -> PretrainedConfig:
    """Of plain values, which may be a stranger's: of those only the ones that the class has keys for."""
    fields = dataclasses.fields(cls.config_class)  # type: ignore[arg-type]
    known = {field.name for field in fields if field.init and not field.name.startswith("_")} - {"model_type"}
    known |= set(cls.config_class.attribute_map)  # type: ignore[union-attr]
    values = {name: value for name, value in architecture.items() if name in known}
    try:
        return cls.config_class(**values)  # type: ignore[misc]
    except Exception as error:  # whatever transformers stumbles over
        raise ConfigError(
            f"planner.encoder.architecture: {cls.config_class.__name__} cannot be made of it: {str(error)[:300]}"  # type: ignore[union-attr]
        ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Without transformers' report and progress bar; what is wrong becomes an error here."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _native(config: PretrainedConfig, family: Family, patch: Size) -> Size:
    if (count := getattr(config, "num_patches", None)) is not None:  # NaFlex states patches, not pixels
        side = round(count**0.5)
        return side * patch[0], side * patch[1]
    return _pair(getattr(config, family.size_key))


def _pair(value: Any) -> Size:
    return (int(value[0]), int(value[1])) if isinstance(value, list | tuple) else (int(value), int(value))


def _require_patches(size: Size, patch: Size, network: str) -> None:
    for name, length, side in zip(("height", "width"), size, patch, strict=True):
        if length % side:
            raise ConfigError(
                f"planner.encoder.{name}: expected a multiple of {side} px, a patch of {network}, got {length}"
            )


def _depth(parameter: str, blocks: str, count: int) -> int:
    if parameter.startswith(f"{blocks}."):
        return int(parameter[len(blocks) + 1 :].split(".", maxsplit=1)[0]) + 1
    return 0 if "embeddings" in parameter else count

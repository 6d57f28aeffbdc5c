"""Networks of timm as feature extractors, with weights from a file or none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from navforge.core.errors import ConfigError, DataError
from navforge.core.outside.files import open_regular
from navforge.models.conversion import Recognised, convert
from navforge.models.encoders.efficientnet_lite import LITE0, NETWORK
from navforge.models.plain_files import check_plain
from navforge.models.timm_alone import timm

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def feature_network(
    network: str,
    *,
    indices: Sequence[int],
    image_size: tuple[int, int],
    in_channels: int = 3,
    stem_width: int = 0,
    stage_widths: Sequence[int] = (),
    weights: Path | None = None,
) -> nn.Module:
    """The timm network returning feature maps; `feature_info` tells their channels.

    Args:
        network: name of a timm model.
        indices: which of its feature maps; negative ones count from the last.
        image_size: (H, W) px, for networks that have to know it.
        in_channels: channels of its input.
        stem_width: ResNets only: width of the first convolution; 0 keeps the network's own.
        stage_widths: ResNets only: channels of the stages; empty keeps the network's own.
        weights: file of the whole network's weights (.pth or .safetensors); None starts at random.

    Raises:
        ConfigError: no such network, or it does not take the given widths.
        DataError: the weights file is missing, damaged or does not fit.
    """
    options: dict[str, Any] = {"features_only": True, "out_indices": tuple(indices)}
    if in_channels != 3:
        options["in_chans"] = in_channels
    if stem_width:
        options["stem_width"] = stem_width
    if stage_widths:
        options["channels"] = tuple(stage_widths)
    return _load(network, image_size, options, weights)


def token_network(
    network: str, *, image_size: tuple[int, int], options: dict[str, Any], weights: Path | None = None
) -> nn.Module:
    """The timm network without classifier, whose `forward_features` gives tokens or the last feature map.

    Args:
        network: name of a timm model.
        image_size: (H, W) px, for networks that have to know it.
        options: further arguments of `timm.create_model`.
        weights: file of the network's weights (.pth or .safetensors); None starts at random.

    Raises:
        ConfigError: no such network, or it does not take the options.
        DataError: the weights file is missing, damaged or does not fit.
    """
    created = _load(network, image_size, {"num_classes": 0, **options}, weights)
    created.reset_classifier(0, "")  # type: ignore[operator]
    return created


def _load(network: str, image_size: tuple[int, int], options: dict[str, Any], weights: Path | None) -> nn.Module:
    if weights is None:
        return _create(network, image_size, options)
    given = _as_timm_names(read_weights(weights))
    maps = ("features_only", "out_indices")
    whole = {name: value for name, value in options.items() if name not in maps}
    expected = _create(network, image_size, {"num_classes": 0, **whole}).state_dict()
    absent = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    if absent:
        raise DataError(
            f"weights {weights} do not fit timm model {network}: {len(absent)} of {len(expected)} "
            f"parameters are not in it, {absent[0]} for one"
        )
    loaded = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": given}}
    try:
        return _create(network, image_size, {**options, **loaded})
    except RuntimeError as error:
        raise DataError(f"weights {weights} do not fit timm model {network}: {error}") from error


def _create(network: str, image_size: tuple[int, int], options: dict[str, Any]) -> nn.Module:
    if not timm.is_model(network):
        close = ", ".join(timm.list_models(f"*{network[:6]}*")[:8])
        raise ConfigError(f"planner.encoder.network: timm has no model {network!r}; similar: {close or 'none'}")
    failure: TypeError | None = None
    extras: tuple[dict[str, Any], ...] = ({"img_size": image_size}, {})
    for extra in extras:  # vision transformers have to know the image size, others refuse it
        try:
            return timm.create_model(network, **options, **extra)
        except TypeError as error:
            failure = error
    raise ConfigError(f"planner.encoder: timm model {network!r} cannot be built so: {failure}") from failure


def _as_timm_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under timm's names, where the file is of a code base that a conversion is there for."""
    if not all(mark in state for mark in LITE0.marks):
        return state
    return convert(Recognised(LITE0, "", state), timm.create_model(NETWORK).state_dict())


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file, read without running code.

    Raises:
        DataError: missing, damaged, or holding more than tensors.
    """
    what, missing = "planner.encoder.weights:", "download the timm weights file and name it here"
    if path.suffix == ".safetensors":
        open_regular(path, what, missing=missing).close()
    else:
        check_plain(path, what=what, missing=missing)
    try:
        return timm.models.load_state_dict(str(path), weights_only=True)
    except Exception as error:  # whatever the readers of torch and safetensors stumble over
        raise DataError(
            f"{what} {path} is refused: it is damaged or holds more than tensors ({str(error).splitlines()[0][:100]}); "
            "use the .safetensors file of the model"
        ) from error

"""The frozen trunk of an encoder: what decides its tokens, and the tokens of a batch of scenes."""

from __future__ import annotations

import hashlib
import importlib.metadata
from typing import Any

import torch
from lightning_fabric import seed_everything
from torch import Tensor

from navforge.core import config as configs
from navforge.core import extensions
from navforge.core.code import module_hashes
from navforge.core.errors import ConfigError
from navforge.inputs.input_spec import STATUS, InputSpec
from navforge.models.contract import EncoderConfig, Inputs
from navforge.models.modules import Encoder, TrunkEncoder

LIBRARIES = ("torch", "torchvision", "timm", "transformers")
"""Whose versions may change tokens."""


def build_trunk(config: EncoderConfig, *, seed: int, device: str) -> TrunkEncoder:
    """The encoder as training builds it, in evaluation mode.

    Args:
        config: of the encoder.
        seed: `train.seed`, for weights that are drawn and not read from a file.
        device: cpu or cuda.

    Raises:
        ConfigError: it has no frozen trunk.
    """
    seed_everything(seed, verbose=False)
    return require_frozen(config, config.build()).eval().to(device)


def require_frozen(config: EncoderConfig, encoder: Encoder) -> TrunkEncoder:
    """The encoder, if it has a trunk that never learns; else ConfigError."""
    if not config.is_frozen:
        raise ConfigError(
            f"encoder {config.kind} learns, so its tokens change with every step and cannot be computed once: "
            f"{configs.to_dict(config)}; freeze it, or leave features= out"
        )
    if not isinstance(encoder, TrunkEncoder):
        raise ConfigError(f"encoder {config.kind} says that it is frozen and is no TrunkEncoder (models/modules.py)")
    return encoder


def key_of(config: EncoderConfig, encoder: TrunkEncoder, spec: InputSpec) -> dict[str, Any]:
    """What decides the tokens of a scene, but for code: plain values."""
    return {"encoder": encoder_key(config), "inputs": input_key(spec), "weights": weights_fingerprint(encoder)}


def encoder_key(config: EncoderConfig) -> dict[str, Any]:
    """What of an encoder's config decides its trunk's tokens, but for its weights, which are looked at themselves."""
    return {"kind": config.kind, **config.trunk_key()}


def input_key(spec: InputSpec) -> dict[str, Any]:
    """Configs of the sensors that the trunk reads."""
    return {name: spec.configs[name] for name in spec.sensors}


def modules_of(encoder: type, spec: InputSpec) -> dict[str, str]:
    """Hash of every module that decides the tokens of an encoder class, by name, and versions of libraries."""
    hashes = dict(spec.modules(*spec.sensors))
    if extensions.is_own(encoder):
        hashes |= module_hashes(encoder.__module__, alone=(__name__,))
    else:
        hashes |= module_hashes("navforge.models.modules", alone=(__name__,))
        hashes |= extensions.describe([encoder])[extensions.name_of(encoder)]["sources"]
    return hashes | {f"{name} (library)": importlib.metadata.version(name) for name in LIBRARIES}


def weights_fingerprint(encoder: TrunkEncoder) -> str:
    """Fingerprint of all that training never changes (`Encoder.frozen_names`)."""
    digest, state = hashlib.sha256(), encoder.state_dict()
    for name in sorted(encoder.frozen_names()):
        tensor = state[name]
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        content = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(content.view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


@torch.inference_mode()
def tokens_of(trunk: TrunkEncoder, inputs: Inputs, batch_size: int, dtype: torch.dtype) -> Tensor:
    """(B, L, D) tokens of up to `batch_size` scenes, on the host.

    Always computed in a batch of that size, the last scene repeated: how a product of matrices is summed depends on it.

    Raises:
        ConfigError: a value is too large for `dtype`.
    """
    count = len(inputs[STATUS])
    device = next(iter(trunk.state_dict().values())).device
    filled = {
        name: torch.cat([value, *[value[-1:]] * (batch_size - count)]).to(device) for name, value in inputs.items()
    }
    exact = trunk.trunk_tokens(filled)[:count].cpu()
    tokens = exact.to(dtype)
    if not tokens.isfinite().all() and exact.isfinite().all():
        raise ConfigError(f"dtype: tokens reach {exact.abs().max():g}, too large for {dtype}; give dtype=bfloat16")
    if not tokens.isfinite().all():
        raise ConfigError("the trunk's tokens are not finite")
    return tokens

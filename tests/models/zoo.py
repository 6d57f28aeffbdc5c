"""The deterministic weights and inputs under which the public networks' outputs were stored (`modelzoo`)."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from navforge.models.contract import Inputs

VOCABULARY = "_trajectory_head.vocab"


def published_weights(modelzoo: Path, name: str, vocabulary: NDArray[np.float32] | None = None) -> dict[str, Tensor]:
    """The state dict of `NAME.json`, each tensor drawn from the checksum of its key.

    Args:
        modelzoo: the folder.
        name: `transfuser`, `ltf` or `hydra_vov`.
        vocabulary: for networks that hold one.
    """
    shapes: dict[str, list[int]] = json.loads((modelzoo / f"{name}.json").read_text())["state_dict"]
    state = {key: torch.from_numpy(_drawn(key, shape)) for key, shape in shapes.items()}
    if VOCABULARY in state:
        assert vocabulary is not None
        state[VOCABULARY] = torch.from_numpy(vocabulary)
    return state


def published_parameters(modelzoo: Path, name: str) -> int:
    """Parameters of the public network."""
    return json.loads((modelzoo / f"{name}.json").read_text())["parameters"]


def published_outputs(modelzoo: Path, name: str) -> dict[str, NDArray[np.float32]]:
    """Stored outputs by name."""
    with np.load(modelzoo / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored}


def inputs(height: int, width: int) -> Inputs:
    """Two scenes: panorama (2, 3, height, width), LiDAR (2, 1, 256, 256), status with commands 0 and 1."""
    generator = np.random.Generator(np.random.PCG64(20260))
    panorama = generator.random((2, 3, height, width))
    lidar = generator.random((2, 1, 256, 256)) ** 8
    status = generator.standard_normal((2, 8))
    status[:, :4] = np.eye(4)[:2]
    named = {"panorama": panorama, "lidar": lidar, "status": status}
    return {name: torch.from_numpy(value.astype(np.float32)) for name, value in named.items()}


def largest_error(ours: Tensor, stored: NDArray[np.float32]) -> float:
    """Largest difference over the largest stored value."""
    assert ours.shape == stored.shape
    return float(np.abs(ours.numpy() - stored).max() / np.abs(stored).max())


def _drawn(key: str, shape: list[int]) -> NDArray[np.float32] | NDArray[np.int64]:
    last = key.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    x = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(shape)
    if last == "running_var":
        x = 1 + 0.05 * np.abs(x)
    elif last == "running_mean" or "bias" in last:
        x = 0.05 * x
    elif len(shape) <= 1:
        x = 1 + 0.05 * x
    else:
        x = x / math.sqrt(math.prod(shape[1:]))
    return x.astype(np.float32)

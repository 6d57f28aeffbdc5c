"""The environment a run ran in: every package's version and the variables that steer Slurm, torch and NCCL."""

from __future__ import annotations

import importlib.metadata
import os
import socket
from functools import cache
from typing import Any

import torch

PREFIXES = ("SLURM_", "CUDA_", "NCCL_", "TORCH_", "GLOO_", "OMP_", "MKL_", "PYTORCH_")
SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def describe_environment() -> dict[str, Any]:
    """Plain values; variables whose names speak of secrets are left out."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PREFIXES) and not any(word in name.upper() for word in SECRET)
    }
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "host": socket.gethostname(),
        "packages": _packages(),
        "variables": dict(sorted(variables.items())),
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "torch_threads": torch.get_num_threads(),
    }


@cache
def _packages() -> dict[str, str]:
    """Versions of all installed distributions, read once by a process: they take a tenth of a second."""
    described = [distribution.metadata for distribution in importlib.metadata.distributions()]
    versions = {metadata["Name"]: metadata["Version"] for metadata in described}
    return dict(sorted(versions.items(), key=lambda item: item[0].lower()))

"""The environment a run ran in: every package's version and the variables that steer Slurm, torch and NCCL."""

from __future__ import annotations

import importlib.metadata
import os
import socket
from typing import Any

import torch

PREFIXES = ("SLURM_", "CUDA_", "NCCL_", "TORCH_", "GLOO_", "OMP_", "MKL_", "PYTORCH_")
SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def describe_environment() -> dict[str, Any]:
    """Plain values; variables whose names speak of secrets are left out."""
    packages = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(PREFIXES) and not any(word in name.upper() for word in SECRET)
    }
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "host": socket.gethostname(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
        "variables": dict(sorted(variables.items())),
        "gpus": gpus,
        "cuda": torch.version.cuda,
        "torch_threads": torch.get_num_threads(),
    }

"""Which device computes: the CPU, or the GPU that torch uses."""

from __future__ import annotations

import ctypes
import re
import sys

from navforge.core.errors import ConfigError

CPU = "CPU"
"""The CPU among names of devices."""


def pick_device(name: str) -> str:
    """`cpu` or `cuda` for auto, cpu or cuda. Loads torch only where it may find a GPU.

    Raises:
        ConfigError: cuda is asked for and there is none.
    """
    if name == "cpu" or (name == "auto" and not may_have_gpu()):
        return "cpu"
    import torch  # noqa: PLC0415 (seconds)

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise ConfigError("device=cuda: torch sees no GPU here; use device=cpu or auto")
    return "cpu"


def device_name(accelerator: str) -> str:
    """What training computes on: the name of this process's first GPU as torch has it, or `CPU`.

    Args:
        accelerator: `auto`, `cpu` or `gpu`.
    """
    import torch  # noqa: PLC0415 (seconds)

    return torch.cuda.get_device_name(0) if accelerator != "cpu" and torch.cuda.is_available() else CPU


def same_kind(device: str, gpu_type: str) -> bool:
    """Whether a device is of the kind that Slurm calls `gpu_type`: every word of that is in its name.

    `l40s` is NVIDIA L40S, and L40 is not; `a100` is NVIDIA A100-SXM4-80GB.
    """
    kind, name = (set(re.split(r"[^a-z0-9]+", text.lower())) for text in (gpu_type, device))
    return kind <= name


def may_have_gpu() -> bool:
    """False on Linux without NVIDIA's driver."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True

"""Which device computes: the CPU, or the GPU that torch uses."""

from __future__ import annotations

import ctypes
import sys

from navforge.core.errors import ConfigError


def pick_device(name: str) -> str:
    """`cpu` or `cuda` for auto, cpu or cuda. Loads torch only where it may find a GPU.

    Raises:
        ConfigError: cuda is asked for and there is none.
    """
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch  # noqa: PLC0415 (seconds)

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise ConfigError("device=cuda: torch sees no GPU here; use device=cpu or auto")
    return "cpu"


def _may_have_gpu() -> bool:
    """False on Linux without NVIDIA's driver."""
    if sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True

"""Sizes of memory as text; K, M, G, T and P are powers of 1024, as Slurm and the kernel count."""

from __future__ import annotations

import re

MIB, GIB = 1 << 20, 1 << 30
_FACTORS = {"": 1, "K": 1 << 10, "M": MIB, "G": GIB, "T": 1 << 40, "P": 1 << 50}


def parse_size(text: str, unit: str = "") -> int | None:
    """Bytes of `512M`, `4G`, `1.5T` or `80GiB`; None where the text is not a size.

    Args:
        text: a number with a unit or without one.
        unit: what a number without a unit counts: "" for bytes, "M" for the `--mem` of Slurm.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGTP]?)(?:i?B)?", text, re.IGNORECASE)
    return round(float(match[1]) * _FACTORS[match[2].upper() or unit]) if match else None


def write_size(size: float) -> str:
    """Bytes as `1.2 GiB`, below 0.1 GiB as `87 MiB`."""
    return f"{size / GIB:.1f} GiB" if size >= 0.1 * GIB else f"{size / MIB:.0f} MiB"

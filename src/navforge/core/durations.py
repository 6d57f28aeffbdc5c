"""Durations as text."""

from __future__ import annotations


def write_duration(seconds: float) -> str:
    """A duration in two units at most: `8 s`, `2 min 05 s`, `3 h 20 min`, `2 d 04 h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole // 60 % 60:02d} min"
    return f"{whole // 86400} d {whole // 3600 % 24:02d} h"

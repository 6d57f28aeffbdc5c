"""Slurm's way of writing durations."""

from __future__ import annotations

import re

from navforge.core.errors import ConfigError

UNLIMITED = ("UNLIMITED", "INFINITE")

_PATTERNS = (
    r"(?P<minutes>\d+)",
    r"(?P<minutes>\d+):(?P<seconds>\d+)",
    r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)",
    r"(?P<days>\d+)-(?P<hours>\d+)",
    r"(?P<days>\d+)-(?P<hours>\d+):(?P<minutes>\d+)",
    r"(?P<days>\d+)-(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)",
)
_UNITS_S = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}


def parse(text: str) -> int | None:
    """Seconds of a duration as `--time` takes it and `%l` prints it; None if it is unlimited.

    The forms are `sbatch`'s: minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes,
    days-hours:minutes:seconds.

    Raises:
        ConfigError: none of the forms.
    """
    if text in UNLIMITED:
        return None
    for pattern in _PATTERNS:
        if match := re.fullmatch(pattern, text):
            return sum(_UNITS_S[unit] * int(count) for unit, count in match.groupdict().items())
    raise ConfigError(f"{text!r} is not a duration of Slurm; write [days-]hours:minutes:seconds, or minutes")


def parse_elapsed(text: str) -> int:
    """Seconds of an elapsed time as `%M` and `sacct` print it: here two numbers are always minutes:seconds."""
    return parse(f"0:{text}" if text.count(":") == 1 and "-" not in text else text) or 0


def write(seconds: int) -> str:
    """`[days-]hours:minutes:seconds`, as Slurm prints it."""
    days, rest = divmod(seconds, 86400)
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{clock}" if days else clock

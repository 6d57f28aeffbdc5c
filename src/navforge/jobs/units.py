"""Numbers as a person reads them in a table."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

BARS = "▁▂▃▄▅▆▇█"


def gigabytes(number: float) -> str:
    """Bytes as GB (10^9)."""
    return f"{number / 1e9:.1f}" if number < 1e11 else f"{number / 1e9:.0f}"


def significant(number: float) -> str:
    """Three significant digits, without an exponent where the number is of everyday size."""
    if number == 0 or 1e-3 <= abs(number) < 1e6:
        digits = f"{number:.3g}"
        return f"{number:.0f}" if "e" in digits else digits
    return f"{number:.1e}"


def clock(time: float, now: float) -> str:
    """A moment in local time: the hour today, day and hour else."""
    moment, today = datetime.fromtimestamp(time), datetime.fromtimestamp(now)
    return moment.strftime("%H:%M" if moment.date() == today.date() else "%d %b %H:%M")


def fold_names(names: Iterable[str]) -> str:
    """Names of nodes as Slurm writes them: `gl[001-003,007],login`."""
    groups: dict[tuple[str, int], list[int]] = {}
    plain: list[str] = []
    for name in sorted(set(names)):
        if match := re.fullmatch(r"(.*?\D)(\d+)", name):
            groups.setdefault((match[1], len(match[2])), []).append(int(match[2]))
        else:
            plain.append(name)
    return ",".join([*(_fold(prefix, width, numbers) for (prefix, width), numbers in groups.items()), *plain])


def _fold(prefix: str, width: int, numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    parts = [f"{run[0]:0{width}d}" + (f"-{run[-1]:0{width}d}" if len(run) > 1 else "") for run in runs]
    return f"{prefix}[{','.join(parts)}]" if len(numbers) > 1 else f"{prefix}{parts[0]}"


def sparkline(values: list[float], width: int = 60, low: float | None = None) -> str:
    """A curve in one line: each cell the mean of its share of the values, from `low` (or the lowest) to the highest."""
    if not values:
        return ""
    cells = min(width, len(values))
    edges = [round(i * len(values) / cells) for i in range(cells + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007
    low, high = min(means) if low is None else low, max(means)
    span = (high - low) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int((mean - low) / span * len(BARS)))] for mean in means)

"""Curves of a run, from the tables its rank 0 appends to."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from navforge.core.outside.files import read_bytes


def read_columns(path: Path) -> dict[str, list[float]]:
    """Columns of a CSV file as numbers, NaN where a cell is empty; a row cut off by a kill is left out.

    Empty where there is no file.
    """
    if not path.is_file():
        return {}
    text = read_bytes(path, "table", empty=True).decode("utf-8", errors="replace")
    reader = csv.reader(io.StringIO(text.replace("\0", ""), newline=""))
    names = next(reader, [])
    rows = [row for row in reader if len(row) == len(names)]
    return {name: [_number(row[i]) for row in rows] for i, name in enumerate(names)}


def finite(values: list[float]) -> list[float]:
    """Without what is not finite."""
    return [value for value in values if math.isfinite(value)]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan

"""Learning curves of a run: `steps.csv` by optimiser step, `epochs.csv` by epoch. Rank 0 alone writes them."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from navforge.core.files import write_text

FILE = "epochs.csv"
STEPS = ("step", "epoch", "loss", "learning_rate", "gradient_norm")


class StepCurve:
    """Appends a row per optimiser step; numbers are written so that they read back to the bit."""

    def __init__(self, path: Path, *, resumed_step: int = 0) -> None:
        """Keep the rows up to a step, those of an interrupted continuation go."""
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [row for row in read_curves(path) if _is_whole(row) and int(row["step"]) <= resumed_step]
        write_text(path, to_csv(rows) if rows else ",".join(STEPS) + "\n")
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (open as long as the run lasts)

    def add(self, step: int, epoch: int, loss: float, learning_rate: float, gradient_norm: float) -> None:
        """One row."""
        self._file.write(f"{step},{epoch},{loss!r},{learning_rate!r},{gradient_norm!r}\n")
        self._file.flush()

    def secure(self) -> None:
        """Have the rows on disk before a checkpoint that comes after them."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more rows."""
        self._file.close()


class EpochCurve:
    """Rows of finished epochs."""

    def __init__(self, path: Path, *, epoch: int = 0) -> None:
        """Keep the rows before an epoch."""
        self.path = path
        self.rows = [row for row in read_curves(path) if int(row["epoch"]) < epoch]

    def add(self, epoch: int, seconds: float, learning_rate: float, values: dict[str, float]) -> None:
        """One row; the file is replaced."""
        row = {"epoch": str(epoch), "seconds": f"{seconds:.3f}", "learning_rate": f"{learning_rate:.6g}"}
        self.rows.append({**row, **{name: f"{value:.6g}" for name, value in sorted(values.items())}})
        write_text(self.path, to_csv(self.rows))


def read_curves(path: Path | str) -> list[dict[str, str]]:
    """Rows of a curve file; none where there is no file."""
    path = Path(path)
    return list(csv.DictReader(io.StringIO(path.read_text()))) if path.is_file() else []


def to_csv(rows: list[dict[str, str]]) -> str:
    """Rows with the union of their columns, in order of appearance."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _is_whole(row: dict[str, str]) -> bool:
    """Not cut off by a kill."""
    return all(row.get(name) for name in STEPS)

"""Learning curves of a run: `epochs.csv` in its folder, one row per epoch, and a line per epoch for the reader."""

from __future__ import annotations

import csv
import io
import sys
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from navforge.core.files import write_text

FILE = "epochs.csv"


class LearningCurves(Callback):
    """Keeps the rows of earlier epochs when a run is resumed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.rows: list[dict[str, str]] = []
        self.began = 0.0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Read back the epochs that are kept."""
        self.rows = [row for row in read_curves(self.path) if int(row["epoch"]) < trainer.current_epoch]

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self.began = time.monotonic()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Add a row and say how long is left."""
        seconds = time.monotonic() - self.began
        values = {name: f"{value.item():.6g}" for name, value in sorted(trainer.callback_metrics.items())}
        rate = trainer.optimizers[0].param_groups[-1]["lr"]
        row = {"epoch": str(trainer.current_epoch), "seconds": f"{seconds:.3f}", "learning_rate": f"{rate:.6g}"}
        self.rows.append({**row, **values})
        write_text(self.path, to_csv(self.rows))
        epochs = trainer.max_epochs or 0
        left = (epochs - trainer.current_epoch - 1) * seconds
        shown = [f"{name} {values[name]}" for name in ("train/loss", "val/loss", "val/score") if name in values]
        print(
            f"epoch {trainer.current_epoch + 1}/{epochs}  {'  '.join(shown)}  {seconds:.1f} s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )


def read_curves(path: Path | str) -> list[dict[str, str]]:
    """Rows of an `epochs.csv`; none where there is no file."""
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

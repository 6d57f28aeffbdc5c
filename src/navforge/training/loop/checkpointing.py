"""Checkpoints of a run on disk: the last two, the best few, and finding the newest that is whole.

checkpoints/last.ckpt        newest
checkpoints/previous.ckpt    the one before, in case the newest is damaged
checkpoints/best.ckpt        of the best epoch
checkpoints/epoch-0007.ckpt  further best epochs (train.keep_best above 1)
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from navforge.core.errors import DataError
from navforge.core.files import atomic_path
from navforge.core.screen import say
from navforge.models.checkpoints import read_values, write_values
from navforge.runs.folder import BEST, DAMAGED, LAST, PREVIOUS

Ranking = list[tuple[float, int]]
"""(value, epoch) of the best epochs, best first."""


class CheckpointManager:
    """Writes and finds checkpoints; only rank 0 has one."""

    def __init__(self, folder: Path, *, minutes: float, keep: int) -> None:
        self.folder = folder
        self.keep = keep
        self.seconds = 60 * minutes
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last checkpoint is older than it may be."""
        return time.monotonic() - self._saved >= self.seconds

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.folder / LAST

    def save(self, values: dict[str, Any]) -> None:
        """Write the newest checkpoint; the one before it stays.

        Raises:
            OSError: the disk is full; both earlier checkpoints are untouched.
        """
        fresh = self.folder / f".{LAST}.new"
        write_values(fresh, values)
        if self.last.is_file():
            _link(self.last, self.folder / PREVIOUS)
        os.replace(fresh, self.last)
        self._saved = time.monotonic()

    def find(self) -> Path | None:
        """The newest checkpoint that is whole, None where there is none; a damaged one is set aside, with a warning.

        Raises:
            DataError: there are checkpoints, but none is whole.
        """
        if not self.last.is_file() and not (self.folder / PREVIOUS).is_file():
            return None
        try:
            read_values(self.last)
            return self.last
        except DataError as error:
            damage = error
        try:
            read_values(self.folder / PREVIOUS)
        except DataError as error:
            raise DataError(
                f"no checkpoint of this run is whole ({damage}; {error}); to begin anew, delete {self.folder}"
            ) from error
        if self.last.is_file():
            os.replace(self.last, self.folder / DAMAGED)
        _link(self.folder / PREVIOUS, self.last)
        say(f"warning: {damage}; going on with the checkpoint before it", file=sys.stderr, flush=True)
        return self.last

    def keep_best(self, ranking: Ranking, epoch: int) -> None:
        """Keep the newest checkpoint, which is of the end of `epoch`, if that is ranked; drop what no longer is."""
        epochs = [kept for _, kept in ranking]
        if epoch in epochs and self.keep > 1:
            _link(self.last, self.folder / _name(epoch))
        if epoch == epochs[0]:
            _link(self.last, self.folder / BEST)
        kept = {_name(kept) for kept in epochs}
        for path in self.folder.glob("epoch-*.ckpt"):
            if path.name not in kept:
                path.unlink()


def ranked(ranking: Sequence[tuple[float, int]], value: float, epoch: int, *, mode: str, keep: int) -> Ranking:
    """The ranking with one more epoch; of equal values the earlier is better, NaN is worst."""
    sign = -1.0 if mode == "max" else 1.0
    entries = [*((v, e) for v, e in ranking if e != epoch), (value, epoch)]
    return sorted(entries, key=lambda entry: (math.inf if math.isnan(entry[0]) else sign * entry[0], entry[1]))[:keep]


def _name(epoch: int) -> str:
    return f"epoch-{epoch:04d}.ckpt"


def _link(source: Path, target: Path) -> None:
    """Give a checkpoint a second name, replacing what had it; a copy where the file system knows no links."""
    with atomic_path(target) as partial:
        partial.unlink()
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)

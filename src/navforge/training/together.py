"""Several planners trained in this process over one reading of a feature store, each in a run folder of its own.

The run that is least far goes next, by a batch. So runs that read scenes in the same order come to the same batch one
after the other, also where they were interrupted at different steps, and the batch is read once. What is random in a
run is seeded by its own steps: no run notices the others, and each equals one that is trained alone.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TextIO

import torch

from navforge.features.shared import SharedFeatures
from navforge.runs.folder import RunFolder
from navforge.runs.signals import StopSignals
from navforge.training.loop.trainer import Turn
from navforge.training.ranks.rank import Both
from navforge.training.run import training
from navforge.training.run_config import RunConfig

BEGIN: Turn = (-1, 0, 0)


@dataclass
class _Run:
    """A run and how far it is."""

    config: RunConfig
    turns: Iterator[Turn]
    at: Turn = BEGIN

    def advance(self) -> None:
        """Go on to the next turn; raises StopIteration at the end."""
        with _heard(RunFolder(self.config.out)):
            self.at = next(self.turns)


def train_together(configs: Sequence[RunConfig], *, signals: StopSignals | None = None) -> dict[Path, Exception]:
    """Train planners, or go on with runs that were interrupted; one that fails does not end the others.

    Args:
        configs: of the runs, each with `features` and an `out` of its own; those of the same order side by side.
        signals: what stops all of them, each after a checkpoint.

    Returns:
        Why runs ended before their time, by run folder: `Stopped`, or an error, which the folder records.
    """
    signals = signals or StopSignals()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))  # as a rank: sums of several threads differ
    open_features = lru_cache(SharedFeatures.open)
    going = [_Run(one, training(one, signals=signals, open_features=open_features)) for one in configs]
    ended: dict[Path, Exception] = {}
    while going:
        run = min(going, key=lambda run: run.at)
        try:
            run.advance()
        except StopIteration:
            going.remove(run)
        except Exception as error:  # the boundary of a run: it is recorded in its folder
            ended[run.config.out] = error
            going.remove(run)
    return ended


@contextmanager
def _heard(folder: RunFolder) -> Iterator[None]:
    """What a run says goes to its log, and with its name before each line to standard error."""
    path = folder.rank_log(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", buffering=1, encoding="utf-8") as log:
        both = Both(log, _Named(folder.path.name, sys.stderr))  # type: ignore[arg-type]
        with redirect_stderr(both):  # type: ignore[type-var]
            yield


class _Named(io.TextIOBase):
    """Writes lines with a name before each."""

    def __init__(self, name: str, target: TextIO) -> None:
        self._name = name
        self._target = target
        self._begun = ""

    def write(self, text: str) -> int:
        """Whole lines; the rest waits for its end."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._target.write(f"{self._name}  {line}\n")
        return len(text)

    def flush(self) -> None:
        """Of the target."""
        self._target.flush()

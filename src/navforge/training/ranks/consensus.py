"""What ranks agree on before every batch, in one small sum: to stop, to save, that one of them has failed."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from navforge.inputs.corrupt import CorruptSample
from navforge.training.loop.loaders import Fetched
from navforge.training.ranks.failures import TrainingError
from navforge.training.ranks.messages import Ranks


class Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """The run ended on a signal, after a checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped on {signal.Signals(number).name}")
        self.number = number


@dataclass(frozen=True)
class Agreement:
    """What all ranks now know."""

    stop: int
    """The signal to stop on, SIGTERM before SIGUSR1; 0 to go on."""
    save: bool
    """Rank 0 finds a checkpoint due."""
    corrupt: bool
    """Some rank has met corrupt samples."""
    loss: float
    """Mean over ranks of the loss each brought."""


def agree(ranks: Ranks, fetched: Fetched, *, stop: int, save: bool, loss: float) -> Agreement:
    """Bring what this rank knows, learn what all know.

    Raises:
        Exception: this rank's error in fetching its batch.
        TrainingError: that of another rank.
    """
    mine = (
        stop == signal.SIGTERM,
        stop == signal.SIGUSR1,
        fetched.error is not None,
        save and ranks.first,
        bool(fetched.corrupt),
        loss,
    )
    term, usr1, failed, due, corrupt, total = ranks.sum([float(value) for value in mine])
    if failed:
        ranks.raise_together(fetched.error)
    number = signal.SIGTERM if term else signal.SIGUSR1 if usr1 else 0
    return Agreement(stop=int(number), save=due > 0, corrupt=corrupt > 0, loss=total / ranks.world_size)


class CorruptLog:
    """Distinct corrupt samples of all ranks, and how many are tolerated."""

    def __init__(self, tolerated: int, known: dict[str, str] | None = None) -> None:
        self.tolerated = tolerated
        self.known = dict(known or {})
        """Reason by token."""

    def __len__(self) -> int:
        return len(self.known)

    def add(self, ranks: Ranks, found: list[CorruptSample]) -> list[str]:
        """Note every rank's; what is new, in words.

        Raises:
            TrainingError: they are more than tolerated.
        """
        everyone = ranks.gather([(error.token, str(error)) for error in found])
        fresh = {token: reason for theirs in everyone for token, reason in theirs if token not in self.known}
        self.known.update(fresh)
        if len(self.known) > self.tolerated:
            shown = "; ".join(list(fresh.values())[:3])
            raise TrainingError(
                f"corrupt sample: {shown} ({len(self.known)} so far, {self.tolerated} tolerated); repair or leave out "
                f"the files, or give train.tolerate_corrupt={len(self.known)} to replace such samples by neighbours",
                cause="corrupt_sample",
                tokens=tuple(fresh or self.known),
            )
        return list(fresh.values())

"""What ranks agree on where they bring different things."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from navforge.training.loop.loaders import Fetched
from navforge.training.ranks.consensus import agree
from navforge.training.ranks.messages import Ranks


class Beside(Ranks):
    """One of two ranks; the other one got SIGUSR1 and has a loss of 3."""

    def sum(self, values: Sequence[float]) -> list[float]:
        return [mine + other for mine, other in zip(values, [0, 1, 0, 0, 0, 3.0], strict=True)]


def test_the_signal_to_stop_goes_before_the_one_to_requeue() -> None:
    found = agree(Beside(0, 2), Fetched({}), stop=signal.SIGTERM, save=True, loss=1.0)
    assert found.stop == signal.SIGTERM and found.save and found.loss == 2.0
    found = agree(Beside(1, 2), Fetched({}), stop=0, save=True, loss=1.0)
    assert found.stop == signal.SIGUSR1 and not found.save, "rank 0 alone says when a checkpoint is due"

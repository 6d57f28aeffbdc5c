"""Requests to stop: SIGUSR1 (the time limit is near) and SIGTERM end a run after a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from types import FrameType, TracebackType

from navforge.runs import exits

STATUS: dict[int, int] = {signal.SIGUSR1: exits.REQUEUE_ME, signal.SIGTERM: exits.STOPPED}
"""Exit status of a rank, and of its run, by the signal that stopped it."""


class StopSignals:
    """Remembers the signals it listens to while it is entered; ranks and their supervisor look between steps."""

    def __init__(self, listen: Iterable[int] = tuple(STATUS)) -> None:
        self.numbers: list[int] = []
        """Every one, in order."""
        self._listen = tuple(listen)
        self._before: dict[int, object] = {}

    @property
    def received(self) -> int:
        """The first one, SIGINT as SIGTERM; 0 if none came."""
        number = self.numbers[0] if self.numbers else 0
        return signal.SIGTERM if number == signal.SIGINT else number

    def __enter__(self) -> StopSignals:
        for number in self._listen:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.numbers.append(number)

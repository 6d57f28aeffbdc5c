"""Being told to stop: SIGUSR1 (the time limit is near) and SIGTERM end a run after a checkpoint."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from navforge.runs import exits

STATUS = {signal.SIGUSR1: exits.REQUEUE_ME, signal.SIGTERM: exits.STOPPED}
"""Exit status of a rank by the signal that stopped its run."""


class StopSignals:
    """Remembers the first stop signal while it is entered; ranks look at `received` between steps."""

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        for number in STATUS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or number

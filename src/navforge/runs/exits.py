"""How ranks end: the exit statuses a rank chooses, and the record the local supervisor keeps of each end."""

from __future__ import annotations

import signal
from dataclasses import dataclass

FINISHED = 0
"""Training ended as planned."""
FAILED = 1
"""The rank wrote a Failure."""
USER_ERROR = 2
"""Refused before training: a NavforgeError, printed in one line."""
REQUEUE_ME = 75
"""EX_TEMPFAIL: stopped on SIGUSR1 (the time limit is near) after a checkpoint; the batch script requeues the job."""
STOPPED = 128 + signal.SIGTERM
"""Stopped on SIGTERM after a checkpoint."""


@dataclass(frozen=True, kw_only=True)
class RankExit:
    """The end of one rank process, as the supervisor of a local run saw it: a line of `RunFolder.exits`."""

    rank: int
    attempt: int
    pid: int
    status: int
    """As `subprocess` gives it: the exit status, or minus the signal that killed the process."""
    time: float
    """When the supervisor noticed, s since 1970."""
    asked: bool = False
    """The supervisor itself had told the rank to end (another rank had died, or the user stopped the run)."""


def describe(status: int) -> str:
    """An exit status in words: `killed by SIGKILL`, `exit status 3`."""
    number = -status if status < 0 else status - 128 if status > 128 else 0
    if number in [s.value for s in signal.Signals]:
        name = signal.Signals(number).name
        return f"killed by {name}" if status < 0 else f"exit status {status} ({name})"
    return f"exit status {status}"

"""Ctrl-C and SIGTERM: one exception in the process of the command line, a quiet end of its workers."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class Terminated(BaseException):
    """SIGTERM arrived: unwind, so that temporary files, locks and worker processes are cleaned up, and end."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `KeyboardInterrupt` on the first SIGINT and `Terminated` on the first SIGTERM; ignore later ones.

    Later signals are ignored until the end of the block, because they would interrupt the clean-up. Signals that are
    ignored already (`nohup`, background jobs of a shell) stay so. Outside the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    replaced = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    }

    def stop(number: int, frame: FrameType | None) -> None:
        for other in replaced:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    for number in replaced:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def end_worker_on_sigterm() -> None:
    """In a worker process: the first SIGTERM raises SystemExit, so that a file being written is removed.

    Later ones would interrupt the clean-up: a pool sends SIGTERM to all of its workers as soon as one of them ends.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def end_with_parent(parent: int, status: int) -> None:
    """Between fork and exec of a child: SIGTERM once its parent has ended, however that ends (Linux).

    Args:
        parent: process number of the parent.
        status: that the child exits with where the parent has ended already.
    """
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os._exit(status)

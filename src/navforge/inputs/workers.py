"""Loader workers forked from a clean server instead of from a rank.

A rank runs threads (heartbeat, OpenMP, NCCL, decoding pools). A fork copies their locks as they are, and a child that
needs one that was held hangs for ever. The server is a fresh process that has imported what workers need and runs no
thread; it ends with the rank.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext

PRELOAD = ("navforge.inputs.dataset",)
RANKS_OWN = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
"""Slurm sends its signals to every process of a step; only ranks act on them."""


def worker_context() -> BaseContext:
    """How a DataLoader starts its workers (`multiprocessing_context`), the server being up.

    What workers are given is pickled: data sets must be light.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    for start in (resource_tracker.ensure_running, forkserver.ensure_running):
        with _held_back(RANKS_OWN):  # the first lifts the mask again by itself
            start()
    return context


@contextmanager
def _held_back(signals: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Signals wait until the end; processes started within never get them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

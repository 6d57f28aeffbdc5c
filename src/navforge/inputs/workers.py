"""Loader workers forked from a clean server instead of from a rank.

A rank runs threads (heartbeat, OpenMP, NCCL, decoding pools). A fork copies their locks as they are, and a child that
needs one that was held hangs for ever. The server is a fresh process that has imported what workers need and runs no
thread; it and its workers end with the rank.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
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


def begin(worker: int) -> None:
    """For `worker_init_fn`: leave signals to the rank, and end when it does, even by kill -9.

    Workers keep their server alive and the server is their parent, so neither would notice.
    """
    for number in RANKS_OWN:
        signal.signal(number, signal.SIG_IGN)
    rank = multiprocessing.parent_process()
    assert rank is not None
    threading.Thread(target=_end_with, args=(rank.sentinel,), name="end with the rank", daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@contextmanager
def _held_back(signals: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Signals wait until the end; processes started within never get them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

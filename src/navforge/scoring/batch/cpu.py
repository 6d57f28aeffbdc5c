"""Scoring of a batch of scenes on CPU threads.

Kernels hold no lock of Python's, so plain threads run them side by side. Work is cut into items of one scene each, and
threads take runs of items as they become free: scenes cost differently. Each proposal is computed the same way
whatever the cut, so results depend on neither cut nor number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from navforge.core.parallel import available_cpus
from navforge.metric_cache.devkit import Devkit
from navforge.scoring.batch.arrays import BatchArrays
from navforge.scoring.kernels.batch import COUNT, FIRST_PLAN, FIRST_RESULT, ITEM_COLUMNS, SCENE, score_items
from navforge.scoring.metrics import Column
from navforge.scoring.protocols import TTC_LAST_STEP
from navforge.simulation.plans import Plans
from navforge.simulation.tracker import speed_factors

Float = NDArray[np.float64]

MAX_ITEM = 512
"""Proposals of one item, a multiple of `geometry.lanes.WIDTH`."""
MAX_RUN = 4096
MIN_RUN = 128
"""Proposals a thread takes at a time: a share of what is left, within these bounds."""
SHARES = 3


def score_batch_on_cpu(
    arrays: BatchArrays,
    devkit: Devkit,
    poses: Float,
    interval_s: float,
    *,
    shared: bool = False,
    threads: int | None = None,
) -> tuple[Float, NDArray[np.int16]]:
    """Raw results of plans in every scene of a batch.

    Args:
        arrays: S scenes under the rules of `devkit`.
        devkit: release.
        poses: (S * N, T, 3) plans scene by scene, ego frame; (N, T, 3) if `shared`. Finite, C-contiguous.
        interval_s: time between poses.
        shared: whether all scenes have the same plans.
        threads: how many; None: as many as this process may use.

    Returns:
        (`Column`, S, N) results, (2, S, N) first step of an at-fault collision and of a TTC violation, or -1. Progress
        of a plan whose simulation overflows is NaN.
    """
    scenes = arrays.start.shape[1] - 1
    count = len(poses) if shared else len(poses) // scenes
    items = make_items(scenes, count, shared)
    results = np.empty((scenes * count, len(Column)))
    events = np.empty((scenes * count, 2), dtype=np.int16)
    factors = speed_factors()
    is_v2, last_step = devkit is Devkit.V2, TTC_LAST_STEP[devkit]

    def work(first: int, last: int) -> None:
        score_items(arrays, items, first, last, poses, interval_s, factors, is_v2, last_step, results, events)

    share(items[:, COUNT], work, threads)
    by_row = np.ascontiguousarray(results.T), np.ascontiguousarray(events.T)
    return by_row[0].reshape(len(Column), scenes, count), by_row[1].reshape(2, scenes, count)


def score_plans_on_cpu(
    arrays: BatchArrays, devkit: Devkit, plans: Plans, *, threads: int | None = None
) -> tuple[Float, NDArray[np.int16]]:
    """As `score_batch_on_cpu`, of the same prepared plans in every scene, in the order in which they were given."""
    results, events = score_batch_on_cpu(arrays, devkit, plans.poses, plans.interval_s, shared=True, threads=threads)
    return plans.as_given(results, axis=2), plans.as_given(events, axis=2)


def make_items(scenes: int, count: int, shared: bool) -> NDArray[np.int64]:
    """Items (K, 4) of `count` plans in each scene, in order of their results."""
    firsts = np.arange(0, count, MAX_ITEM)
    items = np.empty((scenes, len(firsts), ITEM_COLUMNS), dtype=np.int64)
    scene = np.arange(scenes)[:, None]
    items[..., SCENE] = scene
    items[..., FIRST_PLAN] = firsts + (0 if shared else count * scene)
    items[..., FIRST_RESULT] = firsts + count * scene
    items[..., COUNT] = np.minimum(count - firsts, MAX_ITEM)
    return items.reshape(-1, ITEM_COLUMNS)


def share(sizes: NDArray[np.int64], work: Callable[[int, int], None], threads: int | None) -> None:
    """Call `work(first, last)` on runs of items that together are all, on threads that take runs as they are free.

    Args:
        sizes: (K,) proposals of each item.
        work: releases Python's lock while it runs.
        threads: how many; None: as many as this process may use.
    """
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    threads = min(available_cpus() if threads is None else threads, -(-total // MIN_RUN))
    if threads <= 1:
        if total:
            work(0, len(sizes))
        return
    lock = threading.Lock()
    taken = 0

    def take() -> tuple[int, int]:
        nonlocal taken
        with lock:
            first = taken
            done = int(ends[first - 1]) if first else 0
            size = min(max((total - done) // (SHARES * threads), MIN_RUN), MAX_RUN)
            taken = min(int(np.searchsorted(ends, done + size)) + 1, len(sizes))
            return first, taken

    def run() -> None:
        while True:
            first, last = take()
            if first == last:
                return
            work(first, last)

    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(run) for _ in range(threads - 1)]
        run()
        for other in others:
            other.result()

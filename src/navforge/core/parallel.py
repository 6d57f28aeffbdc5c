"""Independent items over a pool of processes, with a progress bar, an ETA, and every failure named."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from navforge.core.errors import NavforgeError
from navforge.core.interrupts import Terminated, end_worker_on_sigterm
from navforge.core.screen import Screen
from navforge.core.semaphores import name_semaphores

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_END_GRACE_S = 5.0


@dataclass(frozen=True)
class Outcome(Generic[ItemT, ResultT]):
    """What became of one item: a result, or the error text with its traceback."""

    item: ItemT
    result: ResultT | None
    error: str | None = None
    traceback: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the item succeeded."""
        return self.error is None


def available_cpus() -> int:
    """CPUs this process may use (affinity respected)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def progress(label: str, total: int) -> Progress:
    """A progress bar with count, elapsed time and ETA on stderr; silent where stderr is not a terminal."""
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=Screen(file=sys.stderr),
        disable=not sys.stderr.isatty(),
    )
    bar.add_task(label, total=total)
    return bar


def run(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    *,
    workers: int = 0,
    label: str = "",
) -> Iterator[Outcome[ItemT, ResultT]]:
    """Apply `function` to every item; yield outcomes as they finish (in order when `workers` is 1).

    An exception in one item is caught at this boundary, recorded with its traceback and yielded; the others go on.
    A worker that is killed (out of memory, say) raises NavforgeError here: what it worked on is unknown.

    Args:
        function: picklable; called as `function(item)`.
        items: what to do.
        workers: processes; 0 means one per available CPU; 1 runs in this process.
        label: text before the progress bar.
    """
    workers = min(workers or available_cpus(), max(len(items), 1))
    with progress(label, len(items)) as bar:
        for outcome in _serial(function, items) if workers == 1 else _pooled(function, items, workers):
            bar.advance(bar.task_ids[0])
            yield outcome


def run_threads(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    *,
    threads: int = 0,
    label: str = "",
) -> Iterator[Outcome[ItemT, ResultT]]:
    """As `run`, on threads of this process: for functions that spend their time in code without Python's lock.

    Nothing is started or copied, so work begins at once. When the caller stops early, what has not begun is dropped.
    """
    threads = min(threads or available_cpus(), max(len(items), 1))
    with progress(label, len(items)) as bar:
        for outcome in _serial(function, items) if threads == 1 else _threaded(function, items, threads):
            bar.advance(bar.task_ids[0])
            yield outcome


def _threaded(
    function: Callable[[ItemT], ResultT], items: Sequence[ItemT], threads: int
) -> Iterator[Outcome[ItemT, ResultT]]:
    pool = ThreadPoolExecutor(threads)
    try:
        for future in as_completed([pool.submit(call, function, item) for item in items]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _serial(function: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> Iterator[Outcome[ItemT, ResultT]]:
    for item in items:
        yield call(function, item)


def _pooled(
    function: Callable[[ItemT], ResultT], items: Sequence[ItemT], workers: int
) -> Iterator[Outcome[ItemT, ResultT]]:
    with process_pool(workers) as pool:
        waiting: set[Future[Outcome[ItemT, ResultT]]] = set()
        todo = iter(items)
        for item in todo:
            waiting.add(pool.submit(call, function, item))
            if len(waiting) < 4 * workers:
                continue
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)


class _Worker(SpawnProcess):
    """A worker that never sees Ctrl-C, which a terminal sends to the whole process group; the pool ends it."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        try:
            super().start()  # the new process inherits the mask
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _SpawnContext(SpawnContext):
    """Starts processes by "spawn" and remembers them, for a broken pool forgets how its workers ended."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[BaseProcess] = []

    def Process(self, *words: Any, **options: Any) -> BaseProcess:  # type: ignore[override]
        worker = _Worker(*words, **options)
        self.workers.append(worker)
        return worker


def _how_workers_ended(statuses: Sequence[int | None]) -> str:
    """What to say of a broken pool, by the exit statuses of its workers (the pool ends the others by SIGTERM)."""
    ended_by_the_pool = (-signal.SIGTERM, 128 + signal.SIGTERM)
    causes = [status for status in statuses if status not in (None, 0, *ended_by_the_pool)]
    if -signal.SIGKILL in causes:
        return (
            "a worker process was killed by SIGKILL, most likely because the machine ran out of memory; run again with "
            "fewer workers (workers=1)"
        )
    if not causes:
        return "a worker process ended early; run again with workers=1 to see its error"
    if causes[0] < 0:
        return (
            f"a worker process was ended by {signal.Signals(-causes[0]).name}, an error in compiled code; run again "
            "with workers=1 to see where"
        )
    return (
        f"a worker process could not start or ended with status {causes[0]}; its error is printed above. A program "
        'that starts workers needs `if __name__ == "__main__":` around its main part and must be a file, not standard '
        "input; workers=1 needs neither"
    )


def _exit_statuses(workers: Sequence[BaseProcess]) -> list[int | None]:
    """Exit statuses of the workers of a broken pool, which ends those that are left; None of one that goes on.

    A thread of the pool waits for the same processes: `join` returns early where that thread is first.
    """
    deadline = time.monotonic() + _END_GRACE_S
    while any(worker.exitcode is None for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [worker.exitcode for worker in workers]


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes with one thread each; at its end what has not begun is dropped.

    Raises:
        NavforgeError: in the place of `BrokenProcessPool`, where a worker ended; says how.
    """
    # Spawned children start clean: forking a process that already runs threads (torch, numba, polars) can deadlock.
    context = _SpawnContext()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise NavforgeError(_how_workers_ended(_exit_statuses(context.workers))) from error
        except (KeyboardInterrupt, Terminated, GeneratorExit):
            _end(context.workers)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end(workers: Sequence[BaseProcess]) -> None:
    """End workers by SIGTERM; by SIGKILL what is still there after some seconds (compiled code that runs long)."""
    for worker in workers:
        worker.terminate()
    deadline = time.monotonic() + _END_GRACE_S
    for worker in workers:
        worker.join(timeout=max(deadline - time.monotonic(), 0.0))
        worker.kill()


def call(function: Callable[[ItemT], ResultT], item: ItemT) -> Outcome[ItemT, ResultT]:
    """What becomes of one item: the worker boundary, where any exception is recorded for the caller."""
    try:
        return Outcome(item, function(item))
    except SystemExit as ended:
        if multiprocessing.parent_process() is not None:
            traceback.clear_frames(ended.__traceback__)  # ends context managers whose `with` block had not begun
            os._exit(ended.code if isinstance(ended.code, int) else 1)  # else the pool's loop takes the next item
        raise
    except Exception as error:
        return Outcome(item, None, f"{type(error).__name__}: {error}", traceback.format_exc())


def one_thread_each() -> None:
    """Keep libraries that this process loads from now on from starting threads: processes are the parallelism."""
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "POLARS_MAX_THREADS",
    ):
        os.environ[name] = "1"


def _begin_worker() -> None:
    """One thread each; and an end when the process that started the pool ends, even by kill -9."""
    one_thread_each()
    end_worker_on_sigterm()
    name_semaphores()
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), name="end with the pool", daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)

"""Independent items over a Ray cluster: `core.parallel.run` for machines that Ray already joins.

Ray is an optional extra (`pip install "navforge[ray]"`). Workers must see the same files and have the same navforge.
"""

from __future__ import annotations

import importlib
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from navforge.core import parallel
from navforge.core.errors import NavforgeError
from navforge.core.parallel import Outcome, available_cpus, progress

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

HERE = "local"
"""Address that stands for a cluster of this machine alone, started for the call and ended after it."""


def run(
    function: Callable[[ItemT], ResultT],
    items: Sequence[ItemT],
    *,
    address: str | None = None,
    workers: int = 0,
    gpus: int = 0,
    label: str = "",
) -> Iterator[Outcome[ItemT, ResultT]]:
    """Apply `function` to every item; yield outcomes as they finish.

    An exception in one item, and the death of its worker, is recorded and yielded as its outcome; nothing is tried
    twice, the others go on.

    Args:
        function: picklable; called as `function(item)`.
        items: what to do; each takes one CPU of the cluster and `gpus` GPUs.
        address: of a running cluster (`auto`, HOST:PORT); None: one of this machine alone, for the time of the call.
        workers: most items at once; 0: as many as the cluster has CPUs.
        gpus: GPUs that each item has for itself.
        label: text before the progress bar.

    Raises:
        NavforgeError: Ray is not installed, or the cluster cannot be reached or was lost.
    """
    ray = _ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {
            "num_cpus": workers or available_cpus(),
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
        }
    try:
        ray.init(address=address or HERE, **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError, OSError) as error:
        raise NavforgeError(f"Ray at {address or 'this machine'}: {error}; see ray status") from error
    try:
        most = workers or max(int(ray.cluster_resources().get("CPU", 0)), 1)
        yield from _outcomes(ray, function, items, most, gpus, label)
    except (ConnectionError, ray.exceptions.RaySystemError) as error:
        raise NavforgeError(f"the Ray cluster was lost: {error}; run the same command again") from error
    finally:
        ray.shutdown()


def _outcomes(
    ray: Any, function: Callable[[ItemT], ResultT], items: Sequence[ItemT], most: int, gpus: int, label: str
) -> Iterator[Outcome[ItemT, ResultT]]:
    remote = ray.remote(max_retries=0, num_cpus=1, num_gpus=gpus)(_work)
    work = ray.put(pickle.dumps(function))
    waiting: dict[Any, ItemT] = {}
    todo = iter(items)
    with progress(label, len(items)) as bar:
        while True:
            while len(waiting) < 2 * most and (item := next(todo, _NONE)) is not _NONE:
                waiting[remote.remote(work, item)] = item  # type: ignore[assignment]
            if not waiting:
                return
            done, _ = ray.wait(list(waiting))
            for reference in done:
                yield _outcome(ray, reference, waiting.pop(reference))
                bar.advance(bar.task_ids[0])


def _outcome(ray: Any, reference: Any, item: ItemT) -> Outcome[ItemT, Any]:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        text = str(error).strip()
        return Outcome(item, None, f"the worker died ({type(error).__name__}): {text.partition('. ')[0]}", text)


def _work(function: bytes, item: Any) -> Outcome[Any, Any]:
    """One item in a worker; the function is made of its bytes only after libraries were limited to one thread."""
    parallel.one_thread_each()
    return parallel.call(pickle.loads(function), item)


def _ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise NavforgeError(
            'executor=ray needs Ray, which is not installed: pip install "navforge[ray]", or use executor=local'
        ) from error


_NONE = object()

"""What loader workers cost, measured with real ones on the real data."""

from __future__ import annotations

import time
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from navforge.inputs.dataset import ExampleSet, collate
from navforge.inputs.workers import begin, worker_context
from navforge.preflight.memory import LoaderCost
from navforge.training.loop.learner import Batch

WORKERS = 2
"""Enough to tell what one more costs."""
BATCHES = 4
"""Batches each worker makes before its memory is read."""
HANG_S = 100.0
"""A worker that has made no batch within this time never will; imports alone take a while on slow file systems."""
RATE_S = 4.0
"""Time spent on measuring how fast one worker reads."""


def read_batch(dataset: ExampleSet, scenes: int) -> Batch:
    """The first scenes as one batch, read in this process.

    Raises:
        CorruptSample: one of them cannot be read.
    """
    examples: Any = dataset.__getitems__(list(range(min(scenes, len(dataset)))))
    batch = collate(examples)
    if batch["corrupt"]:
        raise batch["corrupt"][0]
    return batch


def measure_loader(
    dataset: ExampleSet, *, batch_size: int, extra_bytes: int, seconds: float = RATE_S, workers: int = WORKERS
) -> LoaderCost:
    """Start workers, let each make some batches, and read what they and this process hold.

    Args:
        dataset: of real scenes; may be a part of the split.
        batch_size: scenes per batch.
        extra_bytes: memory of a rank that this process lacks, such as kept inputs of the rest of the split.
        seconds: time to spend on the rate.
        workers: how many to start.

    Raises:
        RuntimeError: a worker died; torch says how.
    """
    rate, example_bytes = _rate(dataset, seconds)
    size = min(batch_size, len(dataset))
    order = [[(start + n) % len(dataset) for n in range(size)] for start in range(0, BATCHES * workers * size, size)]
    loader = DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_sampler=order,
        num_workers=workers,
        persistent_workers=True,
        collate_fn=collate,
        worker_init_fn=begin,
        multiprocessing_context=worker_context(),
        timeout=HANG_S,
    )
    iterator = iter(loader)
    began = time.monotonic()
    for _ in range(len(order)):
        next(iterator)
        if time.monotonic() - began > 3 * seconds:
            break
    own = psutil.Process()
    children = [process for process in own.children(recursive=True) if _is_worker(process, iterator)]
    private = [child.memory_full_info().uss for child in children]
    # Shared pages count once in the sum of proportional sizes, which is what the node has to hold.
    together = sum(process.memory_full_info().pss for process in (own, *children))
    del iterator, loader
    worker_bytes = max(private)
    return LoaderCost(
        rank_bytes=max(0, together - sum(private)) + extra_bytes,
        worker_bytes=worker_bytes,
        example_bytes=example_bytes,
        examples_per_s=rate,
    )


def nbytes(value: Any) -> int:
    """Bytes of the tensors in a collated value."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(nbytes(entry) for entry in value.values())
    return sum(nbytes(entry) for entry in value) if isinstance(value, list | tuple) else 0


def _rate(dataset: ExampleSet, seconds: float) -> tuple[float, int]:
    """Examples per second of one process, collated, with one thread as workers have; and bytes of one example."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        size = nbytes(read_batch(dataset, 1))
        began, done = time.monotonic(), 0
        while done == 0 or (time.monotonic() - began < seconds and done < 4 * len(dataset)):
            example: Any = dataset.__getitems__([done % len(dataset)])
            collate(example)
            done += 1
        return done / (time.monotonic() - began), size
    finally:
        torch.set_num_threads(threads)


def _is_worker(process: psutil.Process, iterator: Any) -> bool:
    return process.pid in {worker.pid for worker in iterator._workers}

"""From splits to batches: data sets, loaders, and the one way a batch is fetched."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.features.dataset import FeatureDataset
from navforge.features.store import FeatureStore
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.dataset import ExampleSet, SceneDataset, collate
from navforge.inputs.store import InputStore
from navforge.inputs.workers import begin, worker_context
from navforge.models.planner_config import PlannerConfig
from navforge.teacher.store import TeacherStore
from navforge.training.config import LoopConfig, TrainConfig
from navforge.training.loop.epochs import EpochPlan
from navforge.training.loop.order import EpochBatches, SharedBatches
from navforge.training.ranks.messages import Ranks

END_S = 5.0
"""How long to wait for word of a worker whose connection broke."""


def dataset_of(
    split: Split,
    planner: PlannerConfig,
    data: DataConfig,
    config: TrainConfig,
    *,
    teacher: TeacherStore | None,
    store: InputStore | None,
    features: FeatureStore | None = None,
) -> SceneDataset | FeatureDataset:
    """Examples of a split; where corrupt samples are tolerated, inputs are not all read in advance."""
    if features is not None:
        return FeatureDataset(split, planner, features, teacher=teacher)
    keep = config.keep_inputs and config.tolerate_corrupt == 0
    return SceneDataset(split, planner, data, teacher=teacher, keep_inputs=keep, store=store)


def train_loader(
    dataset: ExampleSet, plan: EpochPlan, config: LoopConfig, ranks: Ranks
) -> tuple[DataLoader[Any], EpochBatches]:
    """Loader of this rank and its order, which is told where each epoch begins."""
    seed = config.seed if config.order_seed is None else config.order_seed
    order = EpochBatches(plan, seed=seed, rank=ranks.rank)
    return _loader(dataset, order, config), order


def val_loader(dataset: ExampleSet, config: LoopConfig, ranks: Ranks) -> tuple[DataLoader[Any], SharedBatches]:
    """Loader of this rank's share of a validation, and the order that says how many of its batches count."""
    assert config.batch_size is not None
    order = SharedBatches(len(dataset), batch_size=config.batch_size, world_size=ranks.world_size, rank=ranks.rank)
    return _loader(dataset, order, config), order


@dataclass
class Fetched:
    """A batch, or why there is none."""

    batch: dict[str, Any]
    error: Exception | None = None
    corrupt: list[CorruptSample] = field(default_factory=list)
    waited_s: float = 0.0


def fetch(batches: Iterator[dict[str, Any]]) -> Fetched:
    """The next batch. What goes wrong is returned: all ranks have to hear of it before any of them stops."""
    began = time.monotonic()
    try:
        batch = next(batches)
    except Exception as error:  # the boundary of loading: raised again once all ranks know
        return Fetched({}, _told_of_workers(error, batches))
    corrupt = batch.pop("corrupt", [])
    lost = corrupt[0] if corrupt and not batch else None
    return Fetched(batch, lost, corrupt, time.monotonic() - began)


def _told_of_workers(error: Exception, batches: Iterator[Any]) -> Exception:
    """The error, or where a worker was killed one that says by which signal; torch knows that of its own forks only."""
    workers = {worker.sentinel: worker for worker in getattr(batches, "_workers", ())}
    if not workers or not (isinstance(error, EOFError | ConnectionError) or "exited unexpectedly" in str(error)):
        return error
    ended = [workers[sentinel] for sentinel in wait(list(workers), timeout=END_S)]  # type: ignore[index]
    killed = [worker for worker in ended if (worker.exitcode or 0) < 0]
    if not killed:
        return error
    name = signal.Signals(-killed[0].exitcode).name
    told = RuntimeError(f"DataLoader worker (pid {killed[0].pid}) killed by signal {name}; out of memory, most likely")
    told.__cause__ = error
    return told


def _loader(dataset: ExampleSet, order: Sampler[list[int]], config: LoopConfig) -> DataLoader[Any]:
    # Workers end with their pass: those of training and of validation never hold memory at the same time.
    workers = 0 if dataset.in_memory else config.loader_workers or 0
    return DataLoader(
        dataset,  # type: ignore[arg-type]
        batch_sampler=order,
        num_workers=workers,
        multiprocessing_context=worker_context() if workers else None,
        collate_fn=collate,
        worker_init_fn=begin,
        pin_memory=torch.cuda.is_available() and config.accelerator != "cpu",
    )

"""How fast a full-size planner trains on one device, and how much of that time it waits for data.

Run from the repository: `python benchmarks/train_step.py [--agent NAME ...] [--batch N] [--steps N] [--workers N]`. A
small town with official camera sizes (1920x1080) is written, packed into an input store and taught to a vocabulary of
8192; then every planner trains on it in two ways in the same run:

- fed: batches come from the store through loader workers, as in training;
- resident: the same batch lies on the device all the time, which is the reference: nothing can be faster.

The share of time waiting for data is measured in the fed run. Model FLOPs are those of the forward pass counted by
torch, times three; recomputed activations do not count. The store fits the page cache here: disks are not measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import town
from rich.console import Console
from rich.table import Table
from torch.utils.data import BatchSampler, DataLoader, RandomSampler
from torch.utils.flop_counter import FlopCounterMode

from navforge.cache_builder.pool import cache_split
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.inputs.dataset import SceneDataset, collate
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.pack import pack
from navforge.inputs.store import InputStore
from navforge.inputs.workers import begin, worker_context
from navforge.models.planner_config import PlannerConfig
from navforge.teacher.build import teach
from navforge.teacher.store import TeacherStore
from navforge.training.config import TrainConfig
from navforge.training.loop.module import PlannerModule, optimiser_of, schedule_of
from navforge.training.loop.stepper import Stepper
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import alone
from navforge.training.ranks.strategy import fabric_of, wrap
from navforge.training.recipes.catalog import recipe
from navforge.vocabulary.vocabulary import Vocabulary

AGENTS = ("hydra_mdp_v8192_w_ep_v2_99", "hydra_mdp_v8192_w_ep_r34", "hydra_mdp_v8192_w_ep", "transfuser")
PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12}
"""Dense 16-bit tensor peak per second of a device whose name holds the key, from the makers' data sheets."""
WARM_UP = 3


@dataclass(frozen=True)
class World:
    """What planners train on here."""

    split: Split
    data: DataConfig
    cache: Path
    vocabulary: Vocabulary
    folder: Path


@dataclass(frozen=True)
class Result:
    """Of one planner."""

    fed: float
    """Samples/s."""
    resident: float
    """Samples/s."""
    waiting: float
    """Share of the fed time."""
    flops: float
    """Of one step, forward and backward."""
    gpu_bytes: int


def arcs() -> Vocabulary:
    """8192 circular arcs at constant speed: 128 speeds by 64 curvatures."""
    speed, curvature = np.meshgrid(np.linspace(0, 15, 128), np.linspace(-0.15, 0.15, 64), indexing="ij")
    travelled = speed.reshape(-1, 1) * np.arange(1, 41) / 10
    heading = curvature.reshape(-1, 1) * travelled
    along = travelled * np.sinc(heading / 2 / np.pi)
    poses = np.stack([along * np.cos(heading / 2), along * np.sin(heading / 2), heading], axis=-1)
    return Vocabulary(poses.astype(np.float32))


def world(folder: Path, workers: int) -> World:
    """A town with official cameras, its metric cache, and a vocabulary."""
    data = town(folder / "town", sensors="all", sensor_frames="current", workers=workers)
    split = load_split("train", data)
    cache_split(split, data, folder / "cache", workers=workers)
    return World(split, data, folder / "cache", arcs(), folder)


def teacher_of(planner: PlannerConfig, known: World, workers: int) -> TeacherStore | None:
    """The teacher a planner distils, made once per protocol."""
    if not planner.head.teacher_columns:
        return None
    name: str = planner.head.protocol  # type: ignore[attr-defined]
    out = known.folder / f"teacher_{name}"
    teach(known.vocabulary, known.split, known.cache, out, protocol_name=name, human_filter=True, workers=workers)
    return TeacherStore.open(out, known.vocabulary)


def batches(dataset: SceneDataset, size: int, count: int, workers: int) -> Iterator[dict[str, Any]]:
    """`count` batches drawn with replacement, as one pass, so that workers start once."""
    order = RandomSampler(dataset, replacement=True, num_samples=size * count)
    loader = DataLoader(
        dataset,
        batch_sampler=BatchSampler(order, size, drop_last=True),
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=begin,
        multiprocessing_context=worker_context() if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    for batch in loader:
        corrupt = batch.pop("corrupt")
        if corrupt:
            raise corrupt[0]
        yield batch


def measure(name: str, known: World, options: argparse.Namespace) -> Result:
    """Both ways for one planner."""
    chosen = recipe(name)
    planner_config = chosen.planner
    config = replace(
        chosen.train,
        batch_size=options.batch,
        loader_workers=options.workers,
        precision=options.precision,
        accumulate=1,
    )
    store_folder = known.folder / f"store_{name}"
    report = pack(
        [known.split], InputSpec.of(planner_config), known.data, store_folder, workers=options.prepare_workers
    )
    if report.failures:
        raise RuntimeError(str(report.failures))
    dataset = SceneDataset(
        known.split,
        planner_config,
        known.data,
        teacher=teacher_of(planner_config, known, options.prepare_workers),
        store=InputStore.open(store_folder),
    )
    stepper, fabric = _stepper(planner_config, config, known)
    example = next(batches(dataset, options.batch, 1, 0))
    with FlopCounterMode(display=False) as counter, torch.no_grad(), fabric.autocast():
        stepper.wrapped(fabric.to_device(example))
    flops = 3.0 * counter.get_total_flops()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    fed_s, waited_s = _steps(stepper, batches(dataset, options.batch, options.steps + WARM_UP, options.workers))
    resident = fabric.to_device(example)
    resident_s, _ = _steps(stepper, iter([resident] * (options.steps + WARM_UP)))
    done = options.batch * options.steps
    return Result(
        fed=done / fed_s,
        resident=done / resident_s,
        waiting=waited_s / fed_s,
        flops=flops,
        gpu_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
    )


def _stepper(planner_config: PlannerConfig, config: TrainConfig, known: World) -> tuple[Stepper, Any]:
    fabric = fabric_of(config, alone())
    torch.manual_seed(0)
    planner = planner_config.build(known.vocabulary if planner_config.head.needs_vocabulary else None, pretrained=False)
    module = PlannerModule(planner, config.augment)
    if config.compile:
        planner.compile()
    wrapped = wrap(fabric, module)
    optimiser = optimiser_of(planner, config)
    schedule = schedule_of(optimiser, config, 1_000)
    wrapped.train()
    return Stepper(fabric, wrapped, optimiser, schedule, config, Ranks(0, 1)), fabric


def _steps(stepper: Stepper, source: Iterator[dict[str, Any]]) -> tuple[float, float]:
    """Seconds of all steps after the warm-up, and of waiting for batches among them; a step ends in a device read."""
    began, waited, step = time.perf_counter(), 0.0, 0
    while True:
        asked = time.perf_counter()
        batch = next(source, None)
        if batch is None:
            return time.perf_counter() - began, waited
        waited += time.perf_counter() - asked
        stepper.round(batch, number=0, step=step)
        stepper.finish(epoch=0, step=step)
        step += 1
        if step == WARM_UP:
            began, waited = time.perf_counter(), 0.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--agent", nargs="*", default=AGENTS)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--workers", type=int, default=8, help="loader workers")
    parser.add_argument("--prepare-workers", type=int, default=0, help="processes that write town, store and teacher")
    parser.add_argument("--precision", default="bf16-mixed", choices=("32-true", "16-mixed", "bf16-mixed"))
    options = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    peak = next((value for name, value in PEAK_FLOPS.items() if name in device), None)
    table = Table(title=f"one rank on {device}, batch {options.batch}, {options.precision}, {options.workers} workers")
    table.add_column("planner")
    for column in ("fed samples/s", "resident samples/s", "fed / resident", "waiting", "TFLOP/step", "MFU", "GPU GB"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        known = world(Path(folder), options.prepare_workers)
        for name in options.agent:
            found = measure(name, known, options)
            used = found.flops * found.fed / options.batch
            table.add_row(
                name,
                f"{found.fed:,.2f}",
                f"{found.resident:,.2f}",
                f"{found.fed / found.resident:.2f}",
                f"{found.waiting:.1%}",
                f"{found.flops / 1e12:.2f}",
                f"{used / peak:.1%}" if peak else f"({used / 1e12:.2f} TFLOP/s)",
                f"{found.gpu_bytes / 1e9:.1f}" if found.gpu_bytes else "-",
            )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()

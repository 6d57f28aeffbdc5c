"""Training steps on one real batch at growing sizes: memory and time, as the run will take them."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_map_only

from navforge.models.checkpoints import write_values
from navforge.preflight.contract import cut
from navforge.preflight.estimate import Repeats, between
from navforge.preflight.steps import MOMENTS, StepSample, line
from navforge.training.config import LoopConfig
from navforge.training.loop.learner import Batch, Learner
from navforge.training.loop.module import PlannerModule
from navforge.training.loop.stepper import Stepper
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import alone
from navforge.training.ranks.strategy import fabric_of, wrap

COUNTED = (8, 16)
"""Batch sizes at which kept tensors are counted."""
CHECKPOINTS = 2
"""Checkpoints that are written to measure how long that takes."""
REPEATS = 5
"""Steps of each size that are measured, after one that allocates memory and starts threads."""
BUDGET = 0.7
"""Share of the time that is left which the next size may take, as far as can be told."""


def measure_steps(
    learner: Learner,
    batch: Batch,
    config: LoopConfig,
    sizes: Sequence[int],
    *,
    memory_bytes: int,
    deadline: float,
) -> Iterator[StepSample]:
    """Optimiser steps of each size, made as training makes them: one to warm up, then up to `REPEATS` that count.

    Sizes are left out once the time is up or the line through the smaller ones says that memory will not do. A size
    that runs out of GPU memory ends the measurement by torch's error.

    Args:
        learner: fresh.
        batch: a real one on CPU; repeated to fill larger sizes.
        config: precision, gradient clipping, optimiser.
        sizes: growing.
        memory_bytes: memory that may be taken.
        deadline: `time.monotonic()` by which it should be done.
    """
    fabric = fabric_of(config, alone())
    on_gpu = fabric.device.type == "cuda"
    before = _host_bytes()
    wrapped = wrap(fabric, learner.train())
    optimiser = learner.optimiser(config)
    stepper = Stepper(fabric, wrapped, optimiser, learner.schedule(optimiser, config, 1000), config, Ranks())
    done: list[StepSample] = []
    for size in sizes:
        if done and not _worth_it(done, size, memory_bytes, deadline):
            return
        sized = cut({name: value for name, value in batch.items() if name != "corrupt"}, size)
        if on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        _reset_peak()
        repeats = _repeat(stepper, sized, config.accumulate, cpu=not on_gpu, deadline=deadline)
        peak = _gpu_peak() if on_gpu else max(0, _host_peak() - before)
        time_of_one = repeats.estimate * (1 / config.accumulate)
        done.append(
            StepSample(
                batch_size=size,
                peak_bytes=peak,
                seconds=time_of_one.value,
                low_s=time_of_one.low,
                high_s=time_of_one.high,
                busy=repeats.busy,
                share=repeats.share,
            )
        )
        yield done[-1]


def measure_checkpoint(learner: Learner, folder: Path) -> float:
    """Seconds to write a checkpoint as large as the run's: weights, and AdamW's moments of all that learns.

    Args:
        learner: any weights.
        folder: of the run, or where it will be.

    Raises:
        OSError: nothing can be written there.
    """
    nearest = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    moments = [p.detach() for p in learner.parameters() if p.requires_grad]
    state = {name: value for name, value in learner.state_dict().items() if name not in learner.outside}
    values = {"state_dict": state, "moments": [[m.clone() for m in moments] for _ in range(MOMENTS)]}
    with tempfile.TemporaryDirectory(dir=nearest, prefix=".navforge-preflight-") as scratch:
        durations = []
        for _ in range(CHECKPOINTS):
            began = time.monotonic()
            write_values(Path(scratch) / "checkpoint", values)
            durations.append(time.monotonic() - began)
    return min(durations)


def count_bytes(learner: Learner, batch: Batch, config: LoopConfig) -> tuple[float, float]:
    """Lower bound of a step's GPU memory, counted on CPU: bytes at no scene and bytes per scene.

    Weights, gradients, AdamW's moments, and what autograd keeps for the backward pass at the run's precision;
    workspaces and tensors that live shortly come on top.
    """
    weights = sum(p.nbytes for p in learner.parameters()) + sum(b.nbytes for b in learner.buffers())
    trainable = sum(p.numel() for p in learner.parameters() if p.requires_grad)
    fixed = weights + 4 * trainable * (1 + MOMENTS)
    held = {size: _kept_for_backward(learner.train(), cut(batch, size), config) for size in COUNTED}
    offset, slope = line([(size, value) for size, value in held.items()])
    return fixed + offset, slope


def _kept_for_backward(module: Learner, batch: Batch, config: LoopConfig) -> int:
    """Bytes of distinct tensors that autograd saves, the parameters themselves left out.

    Tensors have shapes and types and no contents, so that nothing is computed.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    state = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    shapes: dict[str, Any] = {name: mode.from_tensor(tensor) for name, tensor in state.items()}
    sized: dict[str, Any] = tree_map_only(
        Tensor, mode.from_tensor, {name: v for name, v in batch.items() if name != "corrupt"}
    )
    own = {StorageWeakRef(tensor.untyped_storage()) for tensor in shapes.values()}
    storages: dict[StorageWeakRef, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        reference = StorageWeakRef(tensor.untyped_storage())
        if reference not in own:
            storages[reference] = tensor.untyped_storage().nbytes()
        return tensor

    mixed = config.precision != "32-true"
    autocast = torch.autocast("cpu", torch.bfloat16) if mixed else contextlib.nullcontext()
    with mode, autocast, torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        try:
            kept = functional_call(module, shapes, (sized,))
        except RuntimeError:  # a loss that looks into its tensors: what the planner keeps is a lower bound as well
            storages.clear()
            if not isinstance(module, PlannerModule):
                raise
            inner = {name.removeprefix("planner."): tensor for name, tensor in shapes.items()}
            kept = functional_call(module.planner, inner, (sized["inputs"],))
    del kept
    return sum(storages.values())


def _repeat(stepper: Stepper, batch: Batch, rounds: int, *, cpu: bool, deadline: float) -> Repeats:
    """Time of steps once warm; at least one is measured, more while the time allows."""
    warm_up, _ = _step(stepper, batch, rounds)
    durations = [_step(stepper, batch, rounds)]
    while len(durations) < REPEATS and time.monotonic() + 2 * max(warm_up, durations[-1][0]) < deadline:
        durations.append(_step(stepper, batch, rounds))
    one_thread = cpu and torch.get_num_threads() == 1
    return Repeats(tuple(wall for wall, _ in durations), tuple(used for _, used in durations) if one_thread else None)


def _step(stepper: Stepper, batch: Batch, rounds: int) -> tuple[float, float]:
    """Wall time and CPU time of one step."""
    _synchronise()
    began, used = time.monotonic(), time.process_time()
    for number in range(rounds):
        stepper.round(dict(batch), number=number, step=0)
    stepper.finish(epoch=0, step=0)
    _synchronise()
    return time.monotonic() - began, time.process_time() - used


def _synchronise() -> None:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _worth_it(done: Sequence[StepSample], size: int, memory_bytes: int, deadline: float) -> bool:
    fixed, each = line([(sample.batch_size, sample.peak_bytes) for sample in done])
    step_s = between([(sample.batch_size, sample.time) for sample in done], size).value
    fits = fixed + each * size <= memory_bytes
    return fits and 2 * step_s <= BUDGET * (deadline - time.monotonic())


def _gpu_peak() -> int:
    """What torch reserved at most, and what CUDA itself took."""
    free, total = torch.cuda.mem_get_info()
    context = max(0, total - free - torch.cuda.memory_reserved())
    return torch.cuda.max_memory_reserved() + context


def _host_bytes() -> int:
    return psutil.Process().memory_info().rss


def _reset_peak() -> None:
    with contextlib.suppress(OSError):  # not every container allows it: the peak then is that of all sizes so far
        Path("/proc/self/clear_refs").write_text("5")


def _host_peak() -> int:
    """Largest resident size since `_reset_peak`."""
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith("VmHWM:"):
            return int(row.split()[1]) << 10
    return _host_bytes()

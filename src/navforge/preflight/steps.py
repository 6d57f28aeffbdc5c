"""Memory and time of a training step as functions of the batch size, from a few measured sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from navforge.core.device import same_kind
from navforge.core.sizes import write_size
from navforge.preflight.estimate import Estimate, between
from navforge.preflight.finding import Finding, ok, refused, warning

GPU_MEMORY = "gpu_memory"
MOMENTS = 2
"""AdamW's, float32 each."""
GPU_MARGIN = 0.92
"""Share of a GPU's memory a step may be planned to take; fragmentation and NCCL take some per cent."""
BOUND_MARGIN = 0.7
"""The same where only a lower bound is known: it leaves out workspaces and short-lived tensors."""
CUDA_HOST_BYTES = 2 << 30
"""Allowance for the host side of CUDA (context, libraries, pinned batches) where no GPU was there to measure it."""


@dataclass(frozen=True, kw_only=True)
class StepSample:
    """One measured batch size."""

    batch_size: int
    peak_bytes: int
    """On GPU what torch reserved on it; on CPU how much the process grew over its size before the first step."""
    seconds: float
    """Of one step once warm."""
    low_s: float | None = None
    """Shortest and longest time to expect of a step; None: as measured."""
    high_s: float | None = None
    busy: bool = False
    """Whether other processes made the steps slower."""
    share: float = 1.0
    """Of a CPU that the steps got, where they ran in one thread."""

    @property
    def time(self) -> Estimate:
        """Seconds of a step with their range."""
        low = self.seconds if self.low_s is None else self.low_s
        return Estimate(self.seconds, low, self.seconds if self.high_s is None else self.high_s)


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Training steps of one rank: forward, backward and optimiser at the run's precision."""

    device: str
    """Name of the GPU, or `CPU`."""
    on_gpu: bool
    samples: tuple[StepSample, ...]
    """By growing batch size."""
    weight_bytes: int
    """Of parameters and buffers."""
    state_bytes: int
    """Of those that a checkpoint holds: a frozen encoder stays in its file."""
    trainable: int
    """Numbers that learn, each with AdamW's two moments."""
    failed_at: int | None = None
    """Batch size at which memory ran out."""
    bound: tuple[float, float] | None = None
    """Lower bound of GPU memory, counted from tensor sizes: bytes at no scene, bytes per scene."""
    host_bytes: int = 0
    """What a rank's process grew by over its size before the first step."""

    def resembles(self, gpu_name: str | None, *, on_gpu: bool) -> bool:
        """Whether times measured on this device hold for another one, by the words of their names."""
        if not on_gpu:
            return not self.on_gpu
        return self.on_gpu and gpu_name is not None and same_kind(self.device, gpu_name)

    def bytes_at(self, batch_size: int) -> float:
        """Predicted peak at a batch size, by the line through the samples."""
        fixed, each = line([(sample.batch_size, sample.peak_bytes) for sample in self.samples])
        return fixed + each * batch_size

    def seconds_at(self, batch_size: int) -> Estimate:
        """Predicted time of a step; where that size was measured, what was measured."""
        return between([(sample.batch_size, sample.time) for sample in self.samples], batch_size)


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Offset and slope, neither negative, of the least-squares line; through the origin where there is one point.

    The offset is raised until no point lies above the line.
    """
    if len(points) == 1:
        x, y = points[0]
        return 0.0, y / x
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = max(0.0, sum((x - mean_x) * (y - mean_y) for x, y in points) / spread)
    return max(0.0, *(y - slope * x for x, y in points)), slope


def largest_batch(fixed: float, each: float, room: float, most: int) -> int:
    """Largest power of two, or multiple of 8 from 16 on, whose line stays within `room`; 0 if none does."""
    sizes = [size for size in (1, 2, 4, 8, *range(16, most + 1, 8)) if size <= most]
    return max((size for size in sizes if fixed + each * size <= room), default=0)


def check_gpu_memory(cost: StepCost, batch_size: int, gpu_bytes: int | None, gpu_name: str | None) -> Iterator[Finding]:
    """The step at its batch size against the memory of one GPU.

    Args:
        cost: measured steps.
        batch_size: per step and rank.
        gpu_bytes: memory of the GPU the run is for.
        gpu_name: its name.
    """
    target = gpu_name or "the GPU"
    remedy = _smaller(cost, gpu_bytes)
    if cost.on_gpu and cost.samples:
        needed = cost.bytes_at(batch_size)
        shown = f"a step at batch size {batch_size} takes {write_size(needed)} (measured on {cost.device})"
        if cost.failed_at is not None and batch_size >= cost.failed_at:
            yield refused(GPU_MEMORY, f"a step at batch size {cost.failed_at} does not fit into {cost.device}", remedy)
        elif gpu_bytes is None:
            yield warning(GPU_MEMORY, f"{shown}; the memory of {target} is not known", "gpu_memory_gb in the profile")
        elif needed > GPU_MARGIN * gpu_bytes:
            yield refused(GPU_MEMORY, f"{shown}, {target} has {write_size(gpu_bytes)}", remedy)
        else:
            yield ok(GPU_MEMORY, f"{shown} of {write_size(gpu_bytes)}")
        return
    if cost.bound is None:
        yield warning(GPU_MEMORY, "unknown: no step was measured", "navforge preflight on a GPU node measures it")
        return
    least = cost.bound[0] + cost.bound[1] * batch_size
    shown = (
        f"a step at batch size {batch_size} takes at least {write_size(least)} (weights, optimiser and activations, "
        "counted)"
    )
    if gpu_bytes is None:
        yield warning(GPU_MEMORY, f"{shown}; the memory of {target} is not known", "gpu_memory_gb in the profile")
    elif least > gpu_bytes:
        yield refused(GPU_MEMORY, f"{shown}, {target} has {write_size(gpu_bytes)}", remedy)
    elif least > BOUND_MARGIN * gpu_bytes:
        yield warning(GPU_MEMORY, f"{shown}; {target} has {write_size(gpu_bytes)}: it may not fit", remedy)
    else:
        yield ok(GPU_MEMORY, f"{shown} of {write_size(gpu_bytes)}; not measured on {target}")


def fitting_batch(cost: StepCost, gpu_bytes: int, most: int) -> int:
    """Largest batch size that fits a GPU with margin, by measurement or else by the lower bound; 0 if none does."""
    if cost.on_gpu and cost.samples:
        fixed, each = line([(sample.batch_size, sample.peak_bytes) for sample in cost.samples])
        below = most if cost.failed_at is None else min(most, cost.failed_at - 1)
        return largest_batch(fixed, each, GPU_MARGIN * gpu_bytes, below)
    if cost.bound is None:
        return 0
    return largest_batch(*cost.bound, BOUND_MARGIN * gpu_bytes, most)


def _smaller(cost: StepCost, gpu_bytes: int | None) -> str:
    fits = fitting_batch(cost, gpu_bytes, 1024) if gpu_bytes is not None and (cost.samples or cost.bound) else 0
    if fits:
        return f"train.batch_size={fits} fits; train.accumulate= keeps the optimiser's batch"
    return "a smaller train.batch_size with train.accumulate=, bf16-mixed precision, or a larger GPU"

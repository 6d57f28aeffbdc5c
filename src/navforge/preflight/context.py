"""What a preflight knows: what was asked for, where it will run, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.preflight.allocation import Allocation
from navforge.preflight.duration import CHECKPOINT_RANGE, START_RANGE, Pace, epoch_s
from navforge.preflight.estimate import Estimate
from navforge.preflight.machine import Machine
from navforge.preflight.memory import LOADERS_TOGETHER, HostPlan, LoaderCost
from navforge.preflight.partition import Request
from navforge.preflight.steps import CUDA_HOST_BYTES, MOMENTS, StepCost
from navforge.training.run_base import RunBase


@dataclass(frozen=True, kw_only=True)
class PreflightContext:
    """Input of every check; None where something is not known or does not apply."""

    config: RunBase
    machine: Machine
    """A node the ranks will run on."""
    allocation: Allocation | None = None
    """The Slurm job or batch script, where there is one."""
    visible_gpus: int | None = None
    """GPUs of this machine, where the ranks run here without Slurm."""
    request: Request | None = None
    loader: LoaderCost | None = None
    step: StepCost | None = None
    start_s: float | None = None
    """Of a process before its first step."""
    checkpoint_s: float | None = None
    """To write a checkpoint."""
    scenes: int | None = None
    val_scenes: int = 0
    free_bytes: int | None = None
    """Room where the run folder is or will be."""

    @property
    def on_gpu(self) -> bool:
        """Whether the ranks train on GPUs."""
        accelerator = self.config.train.accelerator
        if accelerator != "auto":
            return accelerator == "gpu"
        if self.allocation is not None:
            return bool(self.allocation.gpus_per_node)
        return bool(self.visible_gpus) if self.machine.here else True

    @property
    def batch(self) -> int | None:
        """Scenes per rank in a batch: those asked for, or fewer where the split does not fill one step."""
        train = self.config.train
        if train.batch_size is None or self.scenes is None:
            return train.batch_size
        return max(
            1, min(train.batch_size, self.scenes // (self.config.nodes * self.config.devices * train.accumulate))
        )

    @property
    def epoch(self) -> Estimate | None:
        """Seconds of an epoch with its validation and checkpoints; None where nothing was measured."""
        paces = self._paces
        if paces is None or self.scenes is None:
            return None
        ranks = self.config.nodes * self.config.devices
        batch, updates = paces[0].batch_size, self.config.train.epoch_updates
        scenes = self.scenes if updates is None else updates * batch * ranks * self.config.train.accumulate
        ends = [epoch_s(pace, scenes, self.val_scenes, ranks) for pace in paces]
        written = (self.checkpoint_s or 0.0) * (2 if self.val_scenes else 1)  # one before a validation
        return Estimate(*ends) + Estimate(written, written / CHECKPOINT_RANGE, written * CHECKPOINT_RANGE)

    @property
    def rank_samples_per_s(self) -> Estimate | None:
        """Scenes per second of one rank that trains alone; None where nothing was measured."""
        paces = self._paces
        if paces is None:
            return None
        value, most, least = (pace.batch_size / pace.batch_s for pace in paces)
        return Estimate(value, least, most)

    @property
    def duration(self) -> Estimate | None:
        """Seconds of the whole run with its start and its two evaluations; None where nothing was measured."""
        epoch = self.epoch
        if epoch is None:
            return None
        start = self.start_s or 0.0
        return epoch * self.config.train.epochs + Estimate(start, start / START_RANGE, start * START_RANGE)

    @property
    def comparable(self) -> bool:
        """Whether the step was measured on a device like that of the run."""
        name = self.machine.gpu_name if self.on_gpu else None
        return self.step is not None and self.step.resembles(name, on_gpu=self.on_gpu)

    @property
    def pace(self) -> Pace | None:
        """How fast a rank goes with the chosen batch size and workers."""
        return None if self._paces is None else self._paces[0]

    @property
    def _paces(self) -> tuple[Pace, Pace, Pace] | None:
        """The pace, the fastest and the slowest to expect."""
        batch, workers = self.batch, self.config.train.loader_workers
        if self.step is None or not self.step.samples or self.loader is None or batch is None or workers is None:
            return None
        rate, step = self.loader.examples_per_s * max(1, workers), self.step.seconds_at(batch)
        return self._pace(step.value, rate), self._pace(step.low, rate * 1.5), self._pace(step.high, rate / 1.5)

    @property
    def cpus_per_rank(self) -> float:
        """CPUs of one rank."""
        allocation = self.allocation
        if allocation is not None and allocation.cpus_per_task is not None and allocation.launcher is None:
            return allocation.cpus_per_task
        return self.machine.cpus / self.config.devices

    def _pace(self, step_s: float, rate: float) -> Pace:
        batch = self.batch
        assert batch is not None and self.step is not None
        if not self.config.train.loader_workers:  # loading does not overlap with the step
            step_s += batch / rate
        return Pace(step_s=step_s, batch_size=batch, loader_examples_per_s=rate, device=self.step.device)

    def host_plan(self, batch_size: int, workers: int) -> HostPlan:
        """What a node will hold."""
        return HostPlan(
            ranks=self.config.devices,
            workers=workers,
            loaders=LOADERS_TOGETHER,
            batch_size=batch_size,
            step_bytes=self._step_bytes(batch_size),
        )

    def _step_bytes(self, batch_size: int) -> int:
        if self.on_gpu:
            return self.step.host_bytes if self.step is not None and self.step.on_gpu else CUDA_HOST_BYTES
        if self.step is None or self.step.on_gpu:
            return 0
        if not self.step.samples:  # at least the weights, and gradients and moments of what learns
            return self.step.weight_bytes + 4 * (1 + MOMENTS) * self.step.trainable
        return int(self.step.bytes_at(batch_size))

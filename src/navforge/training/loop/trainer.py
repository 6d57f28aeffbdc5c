"""The training loop: epochs of steps, checkpoints, validation, and going on exactly where a checkpoint ends.

State is `epoch`, `step` (optimiser steps done in it) and `total` (in all). What is random in a step is seeded by its
number, the order of scenes by seed and epoch: so the state, the weights and the running sums of the epoch are all a
continued run needs to be the uninterrupted one.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.data import DataLoader

from navforge.core.files import write_json
from navforge.core.screen import say
from navforge.models import checkpoints
from navforge.runs.folder import RunFolder
from navforge.runs.signals import StopSignals
from navforge.runs.training_record import TrainingRecord, training_record
from navforge.training.config import LoopConfig
from navforge.training.loop.checkpointing import CheckpointManager, Ranking, ranked
from navforge.training.loop.curves import FILE, EpochCurve, StepCurve
from navforge.training.loop.drawn import Drawn
from navforge.training.loop.learner import Learner
from navforge.training.loop.loaders import Fetched, fetch
from navforge.training.loop.loggers import Loggers
from navforge.training.loop.meter import Meter, all_sums, means
from navforge.training.loop.order import EpochBatches, SharedBatches
from navforge.training.loop.stepper import Stepper
from navforge.training.ranks.consensus import CorruptLog, Stopped, agree
from navforge.training.ranks.failures import TrainingError
from navforge.training.ranks.heartbeat import Heartbeat
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.strategy import load_whole_state, share_buffers, whole_state

LOG_EVERY = 10
"""Steps between two points in TensorBoard and other loggers; `steps.csv` has every step."""

NON_FINITE = "non_finite.json"
"""In the run folder: ranks, losses and scenes of the step that was not finite."""


Turn = tuple[int, int, int]
"""How far a run is when it gives way: epoch, 0 in training and 1 in validation, batches read in that."""


@dataclass
class Position:
    """How far a run is."""

    epoch: int = 0
    step: int = 0
    total: int = 0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a trainer works with, made by `training.run`."""

    folder: RunFolder
    ranks: Ranks
    config: LoopConfig
    module: Learner
    """As it is saved."""
    stepper: Stepper
    train: tuple[DataLoader[Any], EpochBatches]
    val: tuple[DataLoader[Any], SharedBatches] | None
    monitor: tuple[str, str]
    """What makes an epoch the best, and `min` or `max`."""
    about: dict[str, Any]
    """The planner's config and the facts of the run, for checkpoints."""
    beat: Heartbeat
    signals: StopSignals
    loggers: Loggers
    drawn: Drawn | None
    """Where a label subset is trained on: what was drawn of it."""
    smoke: Callable[[], None]
    """Tries out the newest checkpoint as an evaluation would, where that has not been done yet; called by all ranks."""


@dataclass
class _Pending:
    """A step whose loss is not yet averaged over ranks."""

    loss: float = 0.0
    step: int = 0
    rate: float = 0.0
    norm: float = field(default=math.nan)


class Trainer:
    """Trains until the last epoch, a signal or an error."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.ranks = parts.ranks
        self.at = Position()
        self.meter = Meter()
        self.ranking: Ranking = []
        self.corrupt = CorruptLog(parts.config.tolerate_corrupt)
        self.seconds = 0.0
        """Spent on the epoch by earlier attempts, and before this run last gave way."""
        self.checkpoints = CheckpointManager(
            parts.folder.checkpoints, minutes=parts.config.checkpoint_minutes, keep=parts.config.keep_best
        )
        self._pending = _Pending()
        self._began = time.monotonic()

    @property
    def plan(self) -> Any:
        """How epochs are cut into steps."""
        return self.parts.train[1].plan

    def restore(self, values: dict[str, Any]) -> None:
        """Go on from a checkpoint; called by all ranks with the same values."""
        parts, state = self.parts, values["training"]
        weights = values["state_dict"]
        load_whole_state(parts.module, parts.stepper.optimiser, weights, values["optimiser"], parts.module.outside)
        parts.stepper.schedule.load_state_dict(values["schedule"])
        parts.stepper.fabric.strategy.precision.load_state_dict(values["scaler"])
        parts.stepper.skipped = state["skipped"]
        self.at = Position(**state["position"])
        self.meter = Meter(state["sums"][self.ranks.rank])
        self.ranking = [(value, epoch) for value, epoch in state["ranking"]]
        self.corrupt = CorruptLog(parts.config.tolerate_corrupt, state["corrupt"])
        self.seconds = state["seconds"]
        if parts.drawn is not None:
            parts.drawn.mask |= state["drawn"]
        if self.ranks.first and self.at.step == 0 and self.at.epoch:
            self.checkpoints.keep_best(self.ranking, self.at.epoch - 1)

    def run(self) -> None:
        """Train to the end; raises what `turns` does."""
        for _ in self.turns():
            pass

    def turns(self) -> Iterator[Turn]:
        """Train to the end, giving way before each batch: other runs can take theirs in the meantime.

        Raises:
            Stopped: on a signal, a checkpoint written.
            TrainingError: the loss is not finite, samples are corrupt, another rank failed.
            OSError: the disk is full; the checkpoint before is whole.
        """
        parts = self.parts
        self._began = time.monotonic()
        if self.ranks.first:
            self.steps = StepCurve(parts.folder.steps, resumed_step=self.at.total)
            self.epochs = EpochCurve(parts.folder.path / FILE, epoch=self.at.epoch)
        self._tell()
        if self.at.epoch:
            parts.smoke()
        while self.at.epoch < parts.config.epochs:
            yield from self._train_epoch()
            yield from self._end_epoch()
        if self.ranks.first:
            self.steps.close()

    def record(self) -> TrainingRecord:
        """What the whole run came to; on rank 0, once it has ended."""
        on_gpu = self.parts.stepper.fabric.device.type == "cuda"
        return training_record(
            self.epochs.rows,
            scenes_per_epoch=self.plan.steps * self.plan.scenes_per_step,
            gpus=self.ranks.world_size if on_gpu else 0,
        )

    def save(self) -> None:
        """Write a checkpoint; called by all ranks."""
        parts = self.parts
        weights, optimiser = whole_state(parts.module, parts.stepper.optimiser)
        sums = all_sums(self.meter, self.ranks)
        values = {
            "state_dict": {name: value for name, value in weights.items() if name not in parts.module.outside},
            "optimiser": optimiser,
            "schedule": parts.stepper.schedule.state_dict(),
            "scaler": parts.stepper.fabric.strategy.precision.state_dict(),
            "training": {
                "position": vars(self.at).copy(),
                "sums": sums,
                "ranking": [list(entry) for entry in self.ranking],
                "corrupt": self.corrupt.known,
                "seconds": self.seconds + time.monotonic() - self._began,
                "skipped": parts.stepper.skipped,
                "drawn": None if parts.drawn is None else parts.drawn.of_all(self.ranks),
            },
            checkpoints.KEY: parts.about,
        }
        self.ranks.first_does(lambda: self._write(values))

    def _write(self, values: dict[str, Any]) -> None:
        self.steps.secure()
        self.checkpoints.save(values)

    def _give_way(self, turn: Turn) -> Iterator[Turn]:
        """What passes in the meantime is not counted as time of this run."""
        self.seconds += time.monotonic() - self._began
        yield turn
        self._began = time.monotonic()

    def _train_epoch(self) -> Iterator[Turn]:
        loader, order = self.parts.train
        if self.at.step >= self.plan.steps:
            return
        self.parts.module.train()
        order.start_at(self.at.epoch, self.at.step)
        self._tell(phase="training")
        batches = iter(loader)
        while self.at.step < self.plan.steps:
            yield from self._step(batches)
        self._settle(self.ranks.sum([self._pending.loss])[0] / self.ranks.world_size)

    def _step(self, batches: Any) -> Iterator[Turn]:
        parts, scenes = self.parts, 0
        for number in range(parts.config.accumulate):
            yield from self._give_way((self.at.epoch, 0, self.at.step * parts.config.accumulate + number))
            fetched = fetch(batches)
            if parts.drawn is not None and fetched.error is None:
                fetched.error = parts.drawn.add(fetched.batch["token"])
            self._agree(fetched, boundary=number == 0)
            terms = parts.stepper.round(fetched.batch, number=number, step=self.at.total)
            size = len(fetched.batch["token"])
            self.meter.add(terms, size)
            scenes += size
            parts.beat.count(size, fetched.waited_s)
        rate = parts.stepper.optimiser.param_groups[-1]["lr"]
        try:
            done = parts.stepper.finish(epoch=self.at.epoch, step=self.at.step)
        except TrainingError as error:
            if self.ranks.first and error.record is not None:
                write_json(parts.folder.path / NON_FINITE, error.record)
            raise
        self.at.step += 1
        self.at.total += 1
        parts.module.after_step(self.at.total)
        self._pending = _Pending(done.loss, self.at.total, rate, done.norm)
        parts.beat.tell(step=self.at.total, loss=done.loss)

    def _agree(self, fetched: Fetched, *, boundary: bool) -> None:
        """Before a batch: whether to go on, to save or to stop."""
        pending = self._pending.loss if boundary else 0.0
        due = boundary and self.checkpoints.due
        found = agree(self.ranks, fetched, stop=self.parts.signals.received, save=due, loss=pending)
        if boundary:
            self._settle(found.loss)
        if found.corrupt:
            self._note_corrupt(fetched)
        if boundary and (found.stop or found.save):
            self.save()
        if boundary and found.stop:
            raise Stopped(found.stop)

    def _settle(self, loss: float) -> None:
        """Write the row of the step before."""
        pending, self._pending = self._pending, _Pending()
        if not pending.step or not self.ranks.first:
            return
        self.steps.add(pending.step, self.at.epoch, loss, pending.rate, pending.norm)
        if pending.step % LOG_EVERY == 0:
            values = {"step/loss": loss, "step/learning_rate": pending.rate, "step/gradient_norm": pending.norm}
            self.parts.loggers.log(values, pending.step)

    def _note_corrupt(self, fetched: Fetched) -> None:
        known = len(self.corrupt)
        try:
            fresh = self.corrupt.add(self.ranks, fetched.corrupt)
        finally:
            self.parts.beat.tell(corrupt_samples=len(self.corrupt))
            if self.ranks.first and len(self.corrupt) > known:
                write_json(self.parts.folder.path / "corrupt_samples.json", self.corrupt.known)
        if self.ranks.first:
            for reason in fresh:
                say(f"warning: corrupt sample replaced by a neighbour: {reason}", file=sys.stderr, flush=True)

    def _end_epoch(self) -> Iterator[Turn]:
        parts = self.parts
        values = means(all_sums(self.meter, self.ranks), "train")
        if parts.val is not None:
            self.save()
            values |= yield from self._validate(*parts.val)
        name, mode = parts.monitor
        self.ranking = ranked(self.ranking, values[name], self.at.epoch, mode=mode, keep=parts.config.keep_best)
        if self.ranks.first:
            self._write_epoch(values)
        self.at = Position(self.at.epoch + 1, 0, self.at.total)
        self.meter, self.seconds, self._began = Meter(), 0.0, time.monotonic()
        self._tell()
        self.save()
        if self.ranks.first:
            self.checkpoints.keep_best(self.ranking, self.at.epoch - 1)
        parts.smoke()

    def _validate(self, loader: DataLoader[Any], order: SharedBatches) -> Generator[Turn, None, dict[str, float]]:
        parts, meter = self.parts, Meter()
        parts.module.eval()
        parts.beat.tell(phase="validating")
        share_buffers(parts.module, self.ranks.world_size)
        batches = iter(loader)
        for number in range(len(order)):
            yield from self._give_way((self.at.epoch, 1, number))
            fetched = fetch(batches)
            found = agree(self.ranks, fetched, stop=parts.signals.received, save=False, loss=0.0)
            if found.corrupt:
                self._note_corrupt(fetched)
            if found.stop:
                raise Stopped(found.stop)  # the checkpoint was written before the first batch
            with torch.no_grad(), parts.stepper.fabric.autocast():
                values = parts.stepper.wrapped(parts.stepper.fabric.to_device(fetched.batch))
            if number < order.own:
                meter.add(values, len(fetched.batch["token"]))
        return means(all_sums(meter, self.ranks), "val")

    def _write_epoch(self, values: dict[str, float]) -> None:
        seconds = self.seconds + time.monotonic() - self._began
        rate = self.parts.stepper.optimiser.param_groups[-1]["lr"]
        self.epochs.add(self.at.epoch, seconds, rate, values)
        self.parts.loggers.log(values, self.at.total)
        epochs = self.parts.config.epochs
        shown = "  ".join(f"{n} {values[n]:.6g}" for n in self.parts.module.shown if n in values)
        left = (epochs - self.at.epoch - 1) * seconds
        say(
            f"epoch {self.at.epoch + 1}/{epochs}  {shown}  {seconds:.1f} s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )
        for remark in self.parts.module.remarks(values):
            say(remark, file=sys.stderr, flush=True)

    def _tell(self, **changes: Any) -> None:
        epochs = self.parts.config.epochs
        self.parts.beat.tell(
            epoch=self.at.epoch,
            epochs=epochs,
            step=self.at.total,
            total_steps=epochs * self.plan.steps,
            corrupt_samples=len(self.corrupt),
            **changes,
        )

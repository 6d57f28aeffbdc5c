"""From a config to a trainer: what is the same for every run, and what depends on what it trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from lightning_fabric import Fabric, seed_everything

from navforge.inputs.dataset import ExampleSet
from navforge.models import checkpoints
from navforge.runs.folder import RunFolder
from navforge.runs.signals import StopSignals
from navforge.training.loop.drawn import Drawn
from navforge.training.loop.epochs import plan_of
from navforge.training.loop.learner import Learner
from navforge.training.loop.loaders import train_loader, val_loader
from navforge.training.loop.loggers import Loggers
from navforge.training.loop.stepper import Stepper
from navforge.training.loop.trainer import Parts, Trainer
from navforge.training.ranks.heartbeat import Heartbeat
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import RankInfo
from navforge.training.ranks.strategy import fabric_of, wrap
from navforge.training.run_base import RunBase


@dataclass(frozen=True, kw_only=True)
class Setup(ABC):
    """Builds a trainer."""

    config: RunBase
    folder: RunFolder
    rank_info: RankInfo
    ranks: Ranks
    facts: dict[str, Any]
    """Of the run, for checkpoints: `fingerprints` of what it reads, `train`, `ranks`, `provenance`."""
    resumed: int | None = None
    """Optimiser steps the run has done; None for a new one."""

    @property
    @abstractmethod
    def monitor(self) -> tuple[str, str]:
        """What makes an epoch the best, and `min` or `max`."""

    @abstractmethod
    def learner(self, fabric: Fabric, beat: Heartbeat) -> Learner:
        """What is trained, fresh; called by all ranks, seeded. Reasons not to train it are raised."""

    @abstractmethod
    def examples(self) -> tuple[ExampleSet, ExampleSet | None]:
        """What is trained on and, where there is a validation split, validated on."""

    def drawn(self) -> Drawn | None:
        """Where a label subset is trained on: what may be drawn, nothing of it drawn yet."""
        return None

    def describe(self) -> None:  # noqa: B027 (not every run has that)
        """Write what is trained on into the run folder; called on the first rank."""

    def try_trained(self, fabric: Fabric, beat: Heartbeat) -> None:  # noqa: B027 (not every run has that)
        """Try out the newest checkpoint after an epoch, where that is due; called by all ranks."""

    def finish(self, trainer: Trainer) -> None:  # noqa: B027 (not every run has that)
        """Write what the run is for, once it has ended as planned; called on the first rank."""

    @property
    def about(self) -> dict[str, Any]:
        """What checkpoints say of themselves."""
        return checkpoints.contents(self.config.subject, self.facts)

    def trainer(self, beat: Heartbeat, signals: StopSignals, loggers: Loggers) -> Trainer:
        """Learner, data and all else, fresh."""
        config = self.config.train
        fabric = fabric_of(config, self.rank_info)
        seed_everything(config.seed, verbose=False)
        learner = self.learner(fabric, beat)
        train, val = self.examples()
        plan = plan_of(len(train), config, self.ranks.world_size)
        wrapped = wrap(fabric, learner)
        optimiser = learner.optimiser(config)
        schedule = learner.schedule(optimiser, config, plan.steps * config.epochs)
        parts = Parts(
            folder=self.folder,
            ranks=self.ranks,
            config=config,
            module=learner,
            stepper=Stepper(fabric, wrapped, optimiser, schedule, config, self.ranks),
            train=train_loader(train, plan, config, self.ranks),
            val=None if val is None else val_loader(val, config, self.ranks),
            monitor=self.monitor,
            about=self.about,
            beat=beat,
            signals=signals,
            loggers=loggers,
            drawn=self.drawn(),
            smoke=lambda: self.try_trained(fabric, beat),
        )
        return Trainer(parts)

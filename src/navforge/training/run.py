"""One training run: what it needs, the smoke evaluation, training, and a folder that holds all of it.

`train` runs in this process, alone. Launched runs have a process per rank: `training.ranks.rank.run_rank`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from navforge.core import provenance
from navforge.core.device import device_name
from navforge.core.errors import ConfigError
from navforge.core.files import write_json
from navforge.core.outside.text import read_json
from navforge.features.store import FeatureStore
from navforge.inputs.dataset import ExampleSet, SceneDataset
from navforge.models import checkpoints
from navforge.models.checkpoints import planner_part, read_values, write_values
from navforge.models.planner import Planner
from navforge.runs import status
from navforge.runs.folder import LAST, RunFolder
from navforge.runs.processes import local_job
from navforge.runs.signals import StopSignals
from navforge.runs.status import Attempt, append_line, read_attempts
from navforge.runs.training_record import KEY
from navforge.training import run_inputs as materials
from navforge.training.environment import describe_environment
from navforge.training.frozen import FrozenState
from navforge.training.loop.alignment import AlignedModule, AlignedScenes
from navforge.training.loop.checkpointing import CheckpointManager
from navforge.training.loop.drawn import Drawn
from navforge.training.loop.loaders import dataset_of
from navforge.training.loop.loggers import Loggers, make_loggers, require_loggers
from navforge.training.loop.module import PlannerModule
from navforge.training.loop.trainer import Turn
from navforge.training.plan_scores import PlanScorer
from navforge.training.pretraining.config import PretrainConfig
from navforge.training.ranks.consensus import Stopped
from navforge.training.ranks.failures import failure
from navforge.training.ranks.heartbeat import Heartbeat
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import RankInfo, alone
from navforge.training.run_base import RunBase
from navforge.training.run_config import RunConfig, write_run_config
from navforge.training.run_inputs import OpenFeatures, RunInputs
from navforge.training.setup import Setup
from navforge.training.smoke import PROTOCOL, TRAINED, UNTRAINED, Smoke

TRIAL = ".untrained.ckpt"
LABELS = "labels"
"""In `finished.json`, where a label subset was trained on: what was drawn of it."""


def train(config: RunBase, *, signals: StopSignals | None = None) -> Path:
    """Train in this process, or resume an interrupted run of the same config; see `training`.

    Returns:
        The path of what was made: of a planner the best checkpoint.
    """
    for _ in training(config, signals=signals or StopSignals()):
        pass
    return config.result


def training(
    config: RunBase, *, signals: StopSignals, open_features: OpenFeatures = FeatureStore.open
) -> Iterator[Turn]:
    """`train`, giving way before each batch.

    The run folder is that of any local run, so that `navforge jobs` and `navforge diagnose` read it.

    Args:
        config: of the run; its `nodes` and `devices` must be 1.
        signals: what may stop the run.
        open_features: opens the feature store.

    Raises:
        ConfigError: keys that do not fit each other, or a run folder of another config.
        DataError: something is missing, or fingerprints disagree.
        TrainingError: the planner cannot be evaluated, a loss is not finite, a sample is corrupt.
        Stopped: on a signal.
    """
    if (config.nodes, config.devices) != (1, 1):
        raise ConfigError(
            f"{config.nodes} nodes x {config.devices} ranks cannot train in one process; start them with "
            "navforge train, or give nodes=1 devices=1"
        )
    config = config.resolved()
    folder = RunFolder(config.out)
    attempt = max([0, *(start.attempt + 1 for start in read_attempts(folder.attempts))])
    rank_info = alone()
    if not folder.record_file.is_file():
        folder.describe(config.title, launch="local", nodes=1, devices=1)
    folder.add_job(local_job())
    folder.failure_file(rank_info.rank).unlink(missing_ok=True)
    with Heartbeat(folder, rank_info, attempt=attempt) as beat:
        try:
            yield from turns(config, folder, rank_info, beat=beat, signals=signals, open_features=open_features)
        except (Stopped, GeneratorExit):
            beat.tell(phase="stopped")
            raise
        except BaseException as error:
            with suppress(OSError):  # a full disk: the error itself tells more
                record = failure(error, rank=rank_info.rank, attempt=attempt, step=beat.status.step)
                status.write(folder.failure_file(rank_info.rank), record)
            beat.tell(phase="failed")
            raise


def turns(
    config: RunBase,
    folder: RunFolder,
    rank_info: RankInfo,
    *,
    beat: Heartbeat,
    signals: StopSignals,
    open_features: OpenFeatures = FeatureStore.open,
) -> Iterator[Turn]:
    """The part of this rank in a run, once all ranks have met; gives way before each batch."""
    ranks = Ranks(rank_info.rank, rank_info.world_size)
    require_loggers(config.train.loggers)
    setup = _setup_of(config, folder, rank_info, ranks, open_features)
    checkpoint = _newest(config, folder, ranks)
    if checkpoint is not None:
        materials.check_same_run(planner_part(folder.checkpoints / LAST, checkpoint), setup.facts, config)
        setup = replace(setup, resumed=checkpoint["training"]["position"]["total"])
    if ranks.first:
        _describe(config, folder, setup.facts)
        setup.describe()
        append_line(
            folder.attempts,
            Attempt(
                attempt=beat.status.attempt,
                job=rank_info.job,
                world_size=rank_info.world_size,
                time=time.time(),
                resumed_step=setup.resumed or 0,
                nodes=rank_info.nodes,
                device=device_name(config.train.accelerator),
            ),
        )
    loggers = _loggers(setup)
    trainer, success = None, False
    try:
        trainer = setup.trainer(beat, signals, loggers)
        if checkpoint is not None:
            trainer.restore(checkpoint)
            checkpoint = None  # the optimiser has it now
        module = trainer.parts.module
        frozen = FrozenState(module.planner) if isinstance(module, PlannerModule) else None
        yield from trainer.turns()
        if frozen is not None:
            ranks.raise_together(frozen.error())  # of FSDP's shards, one rank alone may see the change
        success = True
    finally:
        loggers.close(success=success)
    drawn = trainer.parts.drawn
    labels = {} if drawn is None else {LABELS: drawn.facts(ranks)}
    ranks.first_does(lambda: setup.finish(trainer))
    if ranks.first:
        best, mode = trainer.ranking[0], setup.monitor[0]
        finished: dict[str, Any] = {"time": time.time(), "epochs": config.train.epochs, "steps": trainer.at.total}
        finished |= {"best": {"epoch": best[1], mode: best[0]}, **labels, KEY: asdict(trainer.record())}
        write_json(folder.finished, finished)
    beat.tell(phase="finished", eta_s=0.0)


def _setup_of(
    config: RunBase, folder: RunFolder, rank_info: RankInfo, ranks: Ranks, open_features: OpenFeatures
) -> Setup:
    """What the run reads is opened."""
    if isinstance(config, PretrainConfig):
        from navforge.training.pretraining.setup import PretrainSetup  # noqa: PLC0415 (loads timm)

        return PretrainSetup.open(config, folder, rank_info, ranks)
    assert isinstance(config, RunConfig), "a run trains a planner or pre-trains an encoder"
    material = materials.open_run_inputs(config, open_features)
    facts = materials.facts(config, material, rank_info.world_size)
    return PlannerSetup(config=config, folder=folder, rank_info=rank_info, ranks=ranks, material=material, facts=facts)


@dataclass(frozen=True, kw_only=True)
class PlannerSetup(Setup):
    """Trains a planner, which is tried out as an evaluation would use it."""

    config: RunConfig
    material: RunInputs

    @property
    def monitor(self) -> tuple[str, str]:
        """The score where there is a teacher or a metric cache to validate on, else a loss."""
        if self.material.val_split is None:
            return "train/loss", "min"
        scored = self.config.planner.head.teacher_columns or self.material.val_cache is not None
        return ("val/score", "max") if scored else ("val/loss", "min")

    def learner(self, fabric: Fabric, beat: Heartbeat) -> PlannerModule:
        """The planner; the untrained one has been tried out."""
        config, features = self.config, self.material.features
        # The encoder's file is read at the start, and where checkpoints leave out what lies in it.
        from_files = self.resumed is None or config.planner.encoder.outside_weights > 0
        planner = config.planner.build(self.material.vocabulary, pretrained=from_files)
        if features is not None and self.resumed is None:  # else its weights are those of the checkpoint
            features.require_trunk(planner)
        smoke = self._smoke(fabric)
        if self.resumed is None and self.ranks.share(smoke.due(UNTRAINED)):
            beat.tell(phase="smoke")
            self.ranks.first_does(lambda: self._try_out(smoke, planner, self.about))
        if config.train.compile:
            planner.compile()
        cache = self.material.val_cache
        scorer = None if cache is None else PlanScorer(cache, self._protocol)
        if (store := self.material.aligned_to) is not None:
            width = store.token_shape[1]
            return AlignedModule(planner, config.train.augment, scorer, align=config.align, width=width)
        return PlannerModule(planner, config.train.augment, scorer)

    def examples(self) -> tuple[ExampleSet, ExampleSet | None]:
        """Scenes with what the planner reads and learns."""
        config, material = self.config, self.material
        train, val = (
            None
            if split is None
            else dataset_of(
                split,
                config.planner,
                config.data,
                config.train,
                teacher=teacher,
                store=material.store,
                features=material.features,
            )
            for split, teacher in (
                (material.train_split, material.train_teacher),
                (material.val_split, material.val_teacher),
            )
        )
        assert train is not None
        if material.aligned_to is not None:
            assert isinstance(train, SceneDataset), "a feature store of its own is refused"
            return AlignedScenes(train, material.aligned_to), val
        return train, val

    def drawn(self) -> Drawn | None:
        """What may be drawn is read back from the manifest, which the loader knows nothing of."""
        if self.material.labels is None:
            return None
        manifest = self.ranks.first_does(lambda: read_json(self.folder.labels, "label manifest"))
        return Drawn([token for tokens in manifest["tokens"].values() for token in tokens])

    def describe(self) -> None:
        """The manifest of the label subset."""
        if self.material.labels is not None:
            write_json(self.folder.labels, self.material.labels.manifest())

    @property
    def _protocol(self) -> str:
        """Under which plans are scored while the run lasts."""
        return self.config.planner.head.teacher_protocol or PROTOCOL

    def _smoke(self, fabric: Fabric) -> Smoke:
        return Smoke(
            self.folder.path,
            self.material.train_split,
            self.config.data,
            self.material.features,
            self.config.cache,
            self._protocol,
            self.config.train.smoke_scenes,
            fabric.device,
        )

    def _try_out(self, smoke: Smoke, planner: Planner, about: dict[str, Any]) -> None:
        """Through a checkpoint file, which is removed: a run whose planner cannot be evaluated leaves none behind."""
        path = self.folder.checkpoints / TRIAL
        state = {f"{checkpoints.PREFIX}{name}": value for name, value in planner.learned_state().items()}
        try:
            write_values(path, {"state_dict": state, checkpoints.KEY: about})
            smoke.run(UNTRAINED, path)
        finally:
            path.unlink(missing_ok=True)

    def try_trained(self, fabric: Fabric, beat: Heartbeat) -> None:
        """Evaluate a few scenes, once."""
        smoke = self._smoke(fabric)
        if not self.ranks.share(smoke.due(TRAINED)):
            return
        beat.tell(phase="smoke")
        self.ranks.first_does(lambda: smoke.run(TRAINED, self.folder.checkpoints / LAST))


def _newest(config: RunBase, folder: RunFolder, ranks: Ranks) -> dict[str, Any] | None:
    """Values of the newest whole checkpoint; rank 0 decides which that is."""
    manager = CheckpointManager(folder.checkpoints, minutes=0, keep=config.train.keep_best)
    path = ranks.first_does(manager.find)
    return None if path is None else read_values(path)


def _describe(config: RunBase, folder: RunFolder, facts: dict[str, Any]) -> None:
    """What the run is and where it runs, for people and for `navforge jobs`."""
    write_run_config(folder.config, config)
    write_json(folder.path / "train.provenance.json", provenance.collect(classes=config.classes))
    write_json(folder.path / "environment.json", describe_environment())
    write_json(folder.path / "facts.json", {name: value for name, value in facts.items() if name != "provenance"})


def _loggers(setup: Setup) -> Loggers:
    if not setup.ranks.first:
        return Loggers()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loggers = make_loggers(
            setup.config.train.loggers,
            setup.folder.path,
            run=setup.folder.path.resolve().name,
            resumed_step=setup.resumed or 0,
        )
    loggers.describe({"agent": setup.config.title, "train": setup.facts["train"]})
    return loggers

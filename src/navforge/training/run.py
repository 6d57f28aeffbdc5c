"""One training run: checks, the smoke evaluation, training, and a folder that holds all of it."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from navforge.core import config as configs
from navforge.core import provenance
from navforge.core.config import key
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import write_json, write_text
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.inputs.dataset import SceneDataset, collate
from navforge.inputs.store import InputStore
from navforge.metric_cache.store import MetricCache
from navforge.models.checkpoints import read_checkpoint
from navforge.models.planner import PlannerConfig, planner_from_dict, planner_to_dict
from navforge.training.config import TrainConfig
from navforge.training.curves import LearningCurves
from navforge.training.module import PlannerModule
from navforge.training.order import EpochOrder
from navforge.training.smoke import smoke_evaluation
from navforge.vocabulary.teacher import TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary

BEST = "best.ckpt"
LAST = "last.ckpt"


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Keys of `navforge train`; `planner` and `train` come from the recipe of `agent` and may be overridden."""

    agent: str = key(help="planner to train")
    split: str = key(help="folder of logs or scene-filter YAML to train on")
    out: Path = key(help="run folder: checkpoints, learning curves, config, provenance")
    cache: Path = key(help="metric cache of the training split (for the evaluation before the first step)")
    val_split: str | None = key(None, "split to validate on after each epoch")
    vocabulary: Path | None = key(None, "vocabulary file (.npy), for planners that choose from one")
    teacher: Path | None = key(None, "teacher store of the training split, for planners that distil")
    val_teacher: Path | None = key(None, "teacher store of the validation split")
    nodes: int = key(1, "machines to train on", low=1)
    devices: int = key(1, "ranks per machine, each with a GPU where there are any", low=1)
    store: Path | None = key(None, "input store of the splits (navforge pack); none: decode sensor files")
    allow_missing: bool = key(False, "go on when scenes of a split are not on disk")
    planner: PlannerConfig = key(help="the planner")
    train: TrainConfig = key(TrainConfig)
    data: DataConfig = key(DataConfig)


@dataclass(frozen=True)
class _Material:
    """What a run trains on."""

    vocabulary: Vocabulary | None
    train_split: Split
    val_split: Split | None
    train_teacher: TeacherStore | None
    val_teacher: TeacherStore | None
    fingerprints: dict[str, str | None]


def write_run_config(path: Path, config: RunConfig) -> None:
    """Write a run's config with the kinds of its encoder and head, so that it is whole without its recipe."""
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(RunConfig)}
    plain = configs.to_dict(RunConfig(**values))
    write_text(path, yaml.safe_dump({**plain, "planner": planner_to_dict(config.planner)}, sort_keys=False))


def read_run_config(path: Path) -> RunConfig:
    """Inverse of `write_run_config`.

    Raises:
        DataError: there is no such file, or it is no YAML mapping.
        ConfigError: an unknown key or a wrong value.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} not found; navforge train writes it before ranks start") from error
    except yaml.YAMLError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("planner"), dict):
        raise DataError(f"{path} is no run config: it has no planner; navforge train writes one")
    planner = planner_from_dict(values.pop("planner"))
    field = ("planner", PlannerConfig, key(lambda: planner))
    template = dataclasses.make_dataclass("RunConfig", [field], bases=(RunConfig,), frozen=True, kw_only=True)
    found = configs.from_dict(template, values)
    return RunConfig(**{f.name: getattr(found, f.name) for f in dataclasses.fields(RunConfig)})


def train(config: RunConfig, *, callbacks: list[Callback] | None = None) -> Path:
    """Train, or go on with a run of the same config that was interrupted; return the best checkpoint's path.

    Raises:
        ConfigError: keys that do not fit each other, or a run folder of another config.
        DataError: something is missing, or fingerprints disagree.
        NavforgeError: the untrained planner cannot be evaluated, or a loss is not finite.
    """
    folder = config.out / "checkpoints"
    resume = folder / LAST if (folder / LAST).is_file() else None
    material = _material(config)
    facts = _facts(config, material)
    if resume is not None:
        _check_same_run(resume, facts, config)
    lightning.seed_everything(config.train.seed, verbose=False)
    planner = config.planner.build(material.vocabulary, pretrained=resume is None)
    if resume is None and config.train.smoke_scenes:
        protocol = getattr(config.planner.head, "protocol", "epdms_v2")
        scores = smoke_evaluation(
            planner, material.train_split, config.data, config.cache, protocol=protocol, count=config.train.smoke_scenes
        )
        write_json(config.out / "smoke.json", {"protocol": protocol, "scores": scores})
        mean = sum(scores.values()) / len(scores)
        print(f"untrained planner: {protocol} {mean:.3f} on {len(scores)} scenes; evaluation works", file=sys.stderr)
    provenance.record(config.out, config, name="train")
    loaders = _loaders(config, material)
    steps = len(loaders[0]) * config.train.epochs
    module = PlannerModule(planner, config.train, total_steps=steps, facts=facts)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)  # device list, adverts
    trainer = _trainer(config, folder, validate=loaders[1] is not None, callbacks=callbacks or [])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*number of training batches.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        trainer.fit(module, loaders[0], loaders[1], ckpt_path=resume, weights_only=True)
    return folder / BEST


def _material(config: RunConfig) -> _Material:
    head = config.planner.head
    vocabulary = _vocabulary(config)
    cache = MetricCache.open(config.cache).fingerprint
    splits = [
        None if name is None else load_split(name, config.data, allow_missing=config.allow_missing)
        for name in (config.split, config.val_split)
    ]
    train_split, val_split = splits
    assert train_split is not None
    if val_split is not None and (shared := set(train_split.tokens) & set(val_split.tokens)):
        raise DataError(
            f"split and val_split share {len(shared)} scenes, {min(shared)} for one; validation would be idle"
        )
    teachers: list[TeacherStore | None] = [None, None]
    if head.teacher_columns:
        assert vocabulary is not None
        wanted = (("teacher", config.teacher, train_split, cache), ("val_teacher", config.val_teacher, val_split, None))
        for index, (name, path, split, made_from) in enumerate(wanted):
            if split is None:
                continue
            if path is None:
                raise ConfigError(
                    f"{name}: {config.agent} learns from a teacher; run navforge teach on {split.name} and give "
                    f"{name}=FOLDER"
                )
            store = TeacherStore.open(path, vocabulary)
            store.require(
                tokens=split.tokens,
                columns=head.teacher_columns,
                protocol=head.protocol,  # type: ignore[attr-defined]
                cache=made_from,
            )
            teachers[index] = store
    fingerprints = {
        "vocabulary": vocabulary.fingerprint if vocabulary else None,
        "cache": cache,
        "split": train_split.hash,
        "val_split": val_split.hash if val_split else None,
        "teacher": teachers[0].fingerprint if teachers[0] else None,
        "val_teacher": teachers[1].fingerprint if teachers[1] else None,
    }
    return _Material(vocabulary, train_split, val_split, teachers[0], teachers[1], fingerprints)


def _vocabulary(config: RunConfig) -> Vocabulary | None:
    if not config.planner.head.needs_vocabulary:
        return None
    if config.vocabulary is None:
        raise ConfigError(f"vocabulary: {config.agent} chooses from one; give vocabulary=FILE.npy (navforge vocab)")
    return Vocabulary.load(config.vocabulary)


def _facts(config: RunConfig, material: _Material) -> dict[str, Any]:
    """Plain values for the checkpoint."""
    return {
        "agent": config.agent,
        "train": configs.to_dict(config.train),
        "split": material.train_split.name,
        "scenes": len(material.train_split),
        "missing_scenes": len(material.train_split.missing),
        "fingerprints": material.fingerprints,
        "provenance": json.loads(json.dumps(provenance.collect())),
    }


def _check_same_run(last: Path, facts: dict[str, Any], config: RunConfig) -> None:
    """A run folder may be gone on with under the same config only: anything else is another run."""
    found = read_checkpoint(last)
    pairs = {
        "planner": (found.planner, planner_to_dict(config.planner)),
        "train": (found.facts["train"], facts["train"]),
        "fingerprints": (found.facts["fingerprints"], facts["fingerprints"]),
    }
    differing = [path for name, (old, new) in pairs.items() for path in _differences(old, new, name)]
    if differing:
        raise ConfigError(
            f"out: {config.out} holds a run that differs in {', '.join(differing)}; give another out= or delete it"
        )


def _differences(old: Any, new: Any, name: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [d for k in {**old, **new} for d in _differences(old.get(k), new.get(k), f"{name}.{k}")]
    return [] if old == new else [f"{name} ({old} -> {new})"]


def _loaders(config: RunConfig, material: _Material) -> tuple[DataLoader[Any], DataLoader[Any] | None]:
    settings = config.train
    if settings.batch_size is None or settings.loader_workers is None:
        raise ConfigError(
            "train.batch_size and train.loader_workers are auto; give numbers or start with navforge train"
        )
    keep = settings.keep_inputs
    store = None if config.store is None else InputStore.open(config.store)
    parts = []
    for split, teacher in (
        (material.train_split, material.train_teacher),
        (material.val_split, material.val_teacher),
    ):
        parts.append(
            None
            if split is None
            else SceneDataset(split, config.planner, config.data, teacher=teacher, keep_inputs=keep, store=store)
        )
    train_set, val_set = parts
    assert train_set is not None
    common: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "num_workers": settings.loader_workers,
        "collate_fn": collate,
        "persistent_workers": settings.loader_workers > 0,
        "pin_memory": torch.cuda.is_available() and settings.accelerator != "cpu",
    }
    order = EpochOrder(len(train_set), settings.seed)
    whole = len(train_set) >= settings.batch_size
    train_loader = DataLoader(train_set, sampler=order, drop_last=whole, **common)
    return train_loader, None if val_set is None else DataLoader(val_set, **common)


def _trainer(config: RunConfig, folder: Path, *, validate: bool, callbacks: list[Callback]) -> lightning.Trainer:
    settings = config.train
    monitor, mode = "train/loss", "min"
    if validate:
        monitor, mode = ("val/score", "max") if config.planner.head.teacher_columns else ("val/loss", "min")
    each_epoch: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False}
    best = ModelCheckpoint(folder, filename=BEST.removesuffix(".ckpt"), monitor=monitor, mode=mode, **each_epoch)
    # Its own callback: `save_last` would only save when the best one improves. It comes second, so as to hold the
    # state of the first.
    last = ModelCheckpoint(folder, filename=LAST.removesuffix(".ckpt"), **each_epoch)
    return lightning.Trainer(
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        gradient_clip_val=settings.clip_gradient or None,
        callbacks=[LearningCurves(config.out), *callbacks, best, last],
        logger=[CSVLogger(config.out, name="logs"), TensorBoardLogger(config.out, name="tensorboard", version="")],
        num_sanity_val_steps=0,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        log_every_n_steps=1,
    )

"""What a run trains on, checked for fitting together, and the facts a checkpoint carries."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from navforge.core import config as configs
from navforge.core import provenance
from navforge.core.config import differences
from navforge.core.errors import ConfigError, DataError
from navforge.data.label_subsets import LabelSubset, label_subset, read_strata
from navforge.data.splits import Split, load_split
from navforge.features.store import FeatureStore
from navforge.inputs.store import InputStore
from navforge.metric_cache.store import MetricCache
from navforge.models.checkpoints import Checkpoint
from navforge.teacher.store import TeacherStore
from navforge.training.config import FREE
from navforge.training.loop.epochs import training_length
from navforge.vocabulary.vocabulary import Vocabulary

if TYPE_CHECKING:
    from navforge.training.run_base import RunBase
    from navforge.training.run_config import RunConfig

OpenFeatures = Callable[[Path], FeatureStore]


@dataclass(frozen=True)
class RunInputs:
    """What a run trains on."""

    vocabulary: Vocabulary | None
    train_split: Split
    val_split: Split | None
    train_teacher: TeacherStore | None
    val_teacher: TeacherStore | None
    val_cache: MetricCache | None
    store: InputStore | None
    features: FeatureStore | None
    aligned_to: FeatureStore | None
    fingerprints: dict[str, str | None]
    labels: LabelSubset | None = None
    """What `train_split` is a part of, where it is one."""


def open_run_inputs(config: RunConfig, open_store: OpenFeatures = FeatureStore.open) -> RunInputs:
    """Open everything a run needs, the feature store by a function of the caller's.

    Raises:
        ConfigError: something is not given.
        DataError: something is missing, or does not fit the rest.
    """
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
            f"split and val_split share {len(shared)} scenes, {min(shared)} for one; "
            "validation scores would be meaningless"
        )
    labels = choose_labels(config, train_split, val_split)
    if labels is not None:
        train_split = labels.split
    teachers = _teachers(config, vocabulary, train_split, val_split, cache)
    val_cache = open_val_cache(config, val_split)
    features = open_features(config, [split for split in (train_split, val_split) if split is not None], open_store)
    aligned_to = open_aligned_to(config, train_split)
    fingerprints = {
        "vocabulary": vocabulary.fingerprint if vocabulary else None,
        "cache": cache,
        "split": train_split.hash,
        "val_split": val_split.hash if val_split else None,
        "teacher": teachers[0].fingerprint if teachers[0] else None,
        "val_teacher": teachers[1].fingerprint if teachers[1] else None,
        "val_cache": val_cache.fingerprint if val_cache else None,
        "features": features.fingerprint if features else None,
        **({"align.features": aligned_to.fingerprint} if aligned_to else {}),
    }
    store = None if config.store is None else InputStore.open(config.store)
    return RunInputs(
        vocabulary, train_split, val_split, *teachers, val_cache, store, features, aligned_to, fingerprints, labels
    )


def open_aligned_to(config: RunConfig, split: Split) -> FeatureStore | None:
    """The feature store that a run's planner is drawn towards, if there is one; DataError where it lacks scenes."""
    if config.align.features is None:
        return None
    store = FeatureStore.open(config.align.features)
    store.rows(split.tokens)
    return store


def choose_labels(config: RunConfig, split: Split, val_split: Split | None) -> LabelSubset | None:
    """The part of the training split whose labels are used; None for all of it.

    Raises:
        DataError: a log of it is validated on, scenes of the split are not on disk, or no such part can be made.
    """
    if config.labels.fraction == 1:
        return None
    if not split.complete:
        raise DataError(
            f"labels.fraction={config.labels.fraction:g}: {split.describe_missing()}; a part of what is on disk would "
            "differ from machine to machine, so the whole split has to be there"
        )
    if val_split is not None and (shared := split.logs.keys() & val_split.logs.keys()):
        raise DataError(
            f"split and val_split share {len(shared)} logs, {min(shared)} for one; label subsets are taken from logs "
            "that nothing is validated on"
        )
    return label_subset(split, read_strata(split, config.data), config.labels.fraction, config.labels.by)


def open_val_cache(config: RunConfig, val_split: Split | None) -> MetricCache | None:
    """The metric cache on which validation scores plans, if there is one.

    Raises:
        ConfigError: there is nothing to validate on, or a teacher scores what is chosen.
        DataError: it is not complete, or lacks scenes of the split.
    """
    if config.val_cache is None:
        return None
    if val_split is None:
        raise ConfigError("val_cache: there is no validation to score plans in; give val_split= or drop val_cache=")
    if config.planner.head.teacher_columns:
        raise ConfigError(
            f"val_cache: the teacher of {config.agent} scores its plans in validation (val_teacher=); drop val_cache="
        )
    cache = MetricCache.open(config.val_cache)
    absent = [token for token in val_split.tokens if token not in cache]
    if absent:
        raise DataError(
            f"val_cache: metric cache {config.val_cache} lacks {len(absent)} of {len(val_split)} scenes of "
            f"{val_split.name}, {absent[0]} for one; run navforge cache on this split"
        )
    return cache


def open_features(
    config: RunConfig, splits: Sequence[Split], open_store: OpenFeatures = FeatureStore.open
) -> FeatureStore | None:
    """The feature store of a run, if it has one, checked to hold what the planner takes from it.

    Raises:
        ConfigError: images are to be augmented, or an input store is given too, or the encoder learns.
        DataError: it is not complete, or was made otherwise.
    """
    if config.features is None:
        return None
    if config.store is not None:
        raise ConfigError("store: with features= no image is read; drop one of the two")
    augment = config.train.augment
    strengths = {name: getattr(augment, name) for name in ("brightness", "contrast", "saturation", "noise")}
    if changing := [f"train.augment.{name}={value}" for name, value in strengths.items() if value]:
        raise ConfigError(
            f"features: {config.features} holds tokens of images as they are, and {', '.join(changing)} changes images "
            "in every step; set it to 0, or leave features= out"
        )
    store = open_store(config.features)
    for split in splits:
        store.require(config.planner, split.tokens)
    return store


def facts(config: RunConfig, material: RunInputs, world_size: int) -> dict[str, Any]:
    """Plain values for the checkpoint."""
    return {
        "agent": config.agent,
        "train": configs.to_dict(config.train),
        "ranks": world_size,
        "split": material.train_split.name,
        "scenes": len(material.train_split),
        "missing_scenes": len(material.train_split.missing),
        "length": asdict(training_length(len(material.train_split), config.train, world_size)),
        "labels": None if material.labels is None else asdict(material.labels.facts),
        "fingerprints": material.fingerprints,
        "provenance": plain_provenance(config),
        **({"align": {"weight": config.align.weight, "target": config.align.target}} if material.aligned_to else {}),
    }


def plain_provenance(config: RunBase) -> dict[str, Any]:
    """What runs, as plain values."""
    return json.loads(json.dumps(provenance.collect(classes=config.classes)))


def check_same_run(checkpoint: Checkpoint, facts: dict[str, Any], config: RunBase) -> None:
    """A run folder is resumed with the same config only: anything else is another run.

    Raises:
        ConfigError: naming the keys that differ.
    """
    pairs = {
        "planner": (checkpoint.planner, config.subject),
        "train": (binding(checkpoint.facts["train"]), binding(facts["train"])),
        "labels": (checkpoint.facts.get("labels"), facts.get("labels")),
        "fingerprints": (checkpoint.facts["fingerprints"], facts["fingerprints"]),
        "ranks": (checkpoint.facts.get("ranks", 1), facts["ranks"]),
        "align": (checkpoint.facts.get("align", {}), facts.get("align", {})),
    }
    differing = [path for name, (old, new) in pairs.items() for path in differences(old, new, name)]
    if differing:
        raise ConfigError(
            f"out: {config.out} holds a run that differs in {', '.join(differing)}; give another out= or delete it"
        )


def binding(train: dict[str, Any]) -> dict[str, Any]:
    """What of `train` decides what is learnt."""
    return {name: value for name, value in train.items() if name not in FREE}


def _teachers(
    config: RunConfig, vocabulary: Vocabulary | None, train_split: Split, val_split: Split | None, cache: str
) -> tuple[TeacherStore | None, TeacherStore | None]:
    head = config.planner.head
    if not head.teacher_columns:
        return None, None
    assert vocabulary is not None
    teachers: list[TeacherStore | None] = []
    wanted = (("teacher", config.teacher, train_split, cache), ("val_teacher", config.val_teacher, val_split, None))
    for name, path, split, made_from in wanted:
        if split is None:
            teachers.append(None)
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
            protocol=head.teacher_protocol or store.protocol,
            cache=made_from,
        )
        teachers.append(store)
    return teachers[0], teachers[1]


def _vocabulary(config: RunConfig) -> Vocabulary | None:
    if not config.planner.head.needs_vocabulary:
        return None
    if config.vocabulary is None:
        raise ConfigError(f"vocabulary: {config.agent} chooses from one; give vocabulary=FILE.npy (navforge vocab)")
    return Vocabulary.load(config.vocabulary)

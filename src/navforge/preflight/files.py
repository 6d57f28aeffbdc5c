"""Files a run reads: vocabulary, splits, metric cache, teacher stores. Each is opened as training will open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from navforge.core.config import differences
from navforge.core.errors import NavforgeError
from navforge.data.splits import Split, load_split
from navforge.features.store import FeatureStore
from navforge.inputs.frames import FrameFiles
from navforge.inputs.store import InputStore
from navforge.metric_cache.store import MetricCache
from navforge.models.checkpoints import read_checkpoint
from navforge.preflight.finding import Finding, ok, refused, refused_by, warning
from navforge.runs.folder import LAST, RunFolder
from navforge.teacher.store import TeacherStore
from navforge.training.pretraining.config import PretrainConfig
from navforge.training.pretraining.setup import open_frames
from navforge.training.run_base import RunBase
from navforge.training.run_config import RunConfig
from navforge.training.run_inputs import choose_labels, open_aligned_to, open_features, open_val_cache
from navforge.vocabulary.vocabulary import Vocabulary

PATHS, VOCABULARY, SPLIT, CACHE, TEACHER = "paths", "vocabulary", "split", "cache", "teacher"
STORE, FEATURES, ALIGN, RESUME = "store", "features", "align", "resume"

_REMEDIES = {
    VOCABULARY: "vocabulary=FILE.npy (navforge vocab)",
    SPLIT: "navforge data check split=... says what is there",
    CACHE: "navforge cache on this split",
    TEACHER: "navforge teach on this split, with this vocabulary and the planner's protocol",
    STORE: "navforge pack for this planner and these splits",
    FEATURES: "navforge encode for this planner and these splits",
    ALIGN: "navforge encode for the encoder to be drawn towards and this split",
    RESUME: "give another out=",
}

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, kw_only=True)
class Files:
    """What could be opened, and what was found on the way."""

    vocabulary: Vocabulary | None = None
    split: Split | None = None
    val_split: Split | None = None
    cache: MetricCache | None = None
    teacher: TeacherStore | None = None
    val_teacher: TeacherStore | None = None
    features: FeatureStore | None = None
    frames: FrameFiles | None = None
    val_frames: FrameFiles | None = None
    findings: tuple[Finding, ...] = field(default=())

    @property
    def examples(self) -> int | None:
        """Scenes or frames that are learned from."""
        found = self.split if self.frames is None else self.frames
        return None if found is None else len(found)

    @property
    def val_examples(self) -> int:
        """Scenes or frames that are validated on."""
        found = self.val_split if self.frames is None else self.val_frames
        return 0 if found is None else len(found)

    def usable(self, config: RunBase) -> bool:
        """Whether a part of the run can be tried with them."""
        if not isinstance(config, RunConfig):
            return self.frames is not None
        head = config.planner.head
        if self.vocabulary is None and head.needs_vocabulary:
            return False
        stated = config.planner.stated_vocabulary_size
        if self.vocabulary is not None and stated not in (None, self.vocabulary.size):
            return False
        if self.features is None and config.features is not None:
            return False
        return self.split is not None and (self.teacher is not None or not head.teacher_columns)


def check_paths(config: RunBase) -> Iterator[Finding]:
    """Every file and folder the run names is there, as this machine sees the file systems."""
    named = {name: path for name, path in config.files.items() if path is not None}
    absent = [f"{name}={path}" for name, path in named.items() if not path.exists()]
    if absent:
        yield refused(
            PATHS,
            f"not there on this machine: {', '.join(absent)}",
            "give paths on a file system that every node mounts",
        )
    else:
        yield ok(PATHS, f"{len(named)} files and folders exist")


def open_files(config: RunBase) -> Files:
    """Open everything; each thing that cannot be used is a refusal, and the others are still checked."""
    findings: list[Finding] = []
    if isinstance(config, PretrainConfig):
        return _open_frames(config, findings)
    assert isinstance(config, RunConfig), "a run trains a planner or pre-trains an encoder"
    vocabulary = _try(VOCABULARY, lambda: _vocabulary(config), findings)
    if vocabulary is not None:
        findings += check_vocabulary(config.planner.stated_vocabulary_size, config.planner.name, vocabulary)
    split = _try(SPLIT, lambda: load_split(config.split, config.data, allow_missing=config.allow_missing), findings)
    val_split = None
    if config.val_split is not None:
        name = config.val_split
        val_split = _try(SPLIT, lambda: load_split(name, config.data, allow_missing=config.allow_missing), findings)
    findings += _splits(split, val_split)
    if split is not None:
        whole = split
        split = _try(SPLIT, lambda: _trained_on(config, whole, val_split), findings)
    cache = _try(CACHE, lambda: MetricCache.open(config.cache), findings)
    if cache is not None and split is not None:
        findings += _covered(cache, split, config.cache)
    findings += list(_store(config, [found for found in (split, val_split) if found is not None]))
    features = _features(config, [found for found in (split, val_split) if found is not None], findings)
    aligned_to = _aligned_to(config, split, findings)
    teacher = val_teacher = None
    if config.planner.head.teacher_columns and vocabulary is not None:
        made_from = None if cache is None else cache.fingerprint
        teacher = _teacher("teacher", config.teacher, split, made_from, config, vocabulary, findings)
        if config.val_split is not None:
            val_teacher = _teacher("val_teacher", config.val_teacher, val_split, None, config, vocabulary, findings)
    val_cache = _try(CACHE, lambda: open_val_cache(config, val_split), findings)
    found = {
        "vocabulary": vocabulary and vocabulary.fingerprint,
        "cache": cache and cache.fingerprint,
        "split": split and split.hash,
        "val_split": val_split and val_split.hash,
        "teacher": teacher and teacher.fingerprint,
        "val_teacher": val_teacher and val_teacher.fingerprint,
        "val_cache": val_cache and val_cache.fingerprint,
        "features": features and features.fingerprint,
        "align.features": aligned_to and aligned_to.fingerprint,
    }
    findings += list(_resume(config, found))
    return Files(
        vocabulary=vocabulary,
        split=split,
        val_split=val_split,
        cache=cache,
        teacher=teacher,
        val_teacher=val_teacher,
        features=features,
        findings=tuple(findings),
    )


def _trained_on(config: RunConfig, split: Split, val_split: Split | None) -> Split:
    """The part of the split whose labels are used."""
    labels = choose_labels(config, split, val_split)
    return split if labels is None else labels.split


def _open_frames(config: PretrainConfig, findings: list[Finding]) -> Files:
    inputs = _try(SPLIT, lambda: open_frames(config), findings)
    if inputs is None:
        return Files(findings=tuple(findings))
    findings += _splits(inputs.split, None)
    findings.append(ok(SPLIT, inputs.frames.describe()))
    findings += _resume(config, inputs.fingerprints)
    return Files(split=inputs.split, frames=inputs.frames, val_frames=inputs.val_frames, findings=tuple(findings))


def check_vocabulary(stated: int | None, name: str, vocabulary: Vocabulary) -> Iterator[Finding]:
    """A planner whose name says `vN` against the number of entries."""
    if stated is not None and stated != vocabulary.size:
        yield refused(
            VOCABULARY,
            f"{name} says {stated} entries, the vocabulary has {vocabulary.size} (fingerprint "
            f"{vocabulary.fingerprint})",
            "vocabulary=FILE with that many entries, or an agent whose name says what it is",
        )
    else:
        yield ok(VOCABULARY, f"{vocabulary.size} entries, fingerprint {vocabulary.fingerprint}")


def _vocabulary(config: RunConfig) -> Vocabulary | None:
    if not config.planner.head.needs_vocabulary:
        return None
    if config.vocabulary is None:
        raise NavforgeError(f"{config.agent} chooses from a vocabulary; give vocabulary=FILE.npy (navforge vocab)")
    return Vocabulary.load(config.vocabulary)


def _splits(split: Split | None, val_split: Split | None) -> Iterator[Finding]:
    for found in (split, val_split):
        if found is not None:
            missing = f", {len(found.missing)} missing" if found.missing else ""
            yield ok(SPLIT, f"{found.name}: {len(found)} scenes in {len(found.logs)} logs, hash {found.hash}{missing}")
            for text in found.describe_doubts():
                yield warning(SPLIT, text, f"navforge data check split={found.name} out=FOLDER lists the scenes")
    if split is not None and val_split is not None and (shared := set(split.tokens) & set(val_split.tokens)):
        yield refused(
            SPLIT,
            f"split and val_split share {len(shared)} scenes, {min(shared)} for one",
            "a val_split without scenes of the split",
        )


def _covered(cache: MetricCache, split: Split, folder: Path) -> Iterator[Finding]:
    held = set(cache.tokens)
    absent = [token for token in split.tokens if token not in held]
    if absent:
        yield refused(
            CACHE,
            f"{folder} lacks {len(absent)} of {len(split)} scenes of {split.name}, {absent[0]} for one",
            f"navforge cache split={split.name} out={folder}",
        )
    else:
        yield ok(CACHE, f"{len(held)} scenes, fingerprint {cache.fingerprint}, made by this code")


def _teacher(
    key: str,
    path: Path | None,
    split: Split | None,
    cache: str | None,
    config: RunConfig,
    vocabulary: Vocabulary,
    findings: list[Finding],
) -> TeacherStore | None:
    if path is None:
        findings.append(
            refused(
                TEACHER, f"{config.agent} learns from a teacher and {key} is not given", f"navforge teach, {key}=FOLDER"
            )
        )
        return None
    head = config.planner.head

    def opened() -> TeacherStore:
        store = TeacherStore.open(path, vocabulary)
        tokens = () if split is None else split.tokens
        protocol = head.teacher_protocol or store.protocol
        store.require(tokens=tokens, columns=head.teacher_columns, protocol=protocol, cache=cache)
        return store

    store = _try(TEACHER, opened, findings)
    if store is not None:
        shown = f"{key}: {len(store.tokens)} scenes, {store.protocol}, vocabulary {store.fingerprints['vocabulary']}"
        findings.append(ok(TEACHER, shown))
    return store


def _store(config: RunConfig, splits: list[Split]) -> Iterator[Finding]:
    """The input store holds what the planner reads of every scene."""
    if config.store is None:
        return
    path, problems = config.store, []

    def opened() -> InputStore:
        store = InputStore.open(path)
        for split in splits:
            store.require(planner=config.planner, tokens=split.tokens)
        return store

    store = _try(STORE, opened, problems)
    yield from problems
    if store is not None:
        yield ok(STORE, f"{path} holds what {config.planner.name} reads of {sum(map(len, splits))} scenes")


def _features(config: RunConfig, splits: list[Split], findings: list[Finding]) -> FeatureStore | None:
    """The feature store holds the encoder's tokens, and what the planner learns, of every scene."""
    store = _try(FEATURES, lambda: open_features(config, splits), findings)
    if store is not None:
        key = store.origin.key
        findings.append(
            ok(
                FEATURES,
                f"{config.features} holds tokens of {key['encoder']['kind']} (weights {key['weights']}) in "
                f"{store.origin.dtype} of {sum(map(len, splits))} scenes",
            )
        )
    return store


def _aligned_to(config: RunConfig, split: Split | None, findings: list[Finding]) -> FeatureStore | None:
    """The store that the planner is drawn towards holds every scene of the training split."""
    store = None if split is None else _try(ALIGN, lambda: open_aligned_to(config, split), findings)
    if store is not None:
        findings.append(ok(ALIGN, f"{config.align.features} holds {store.token_shape[0]} tokens of each scene"))
    return store


def _resume(config: RunBase, fingerprints: dict[str, str | None]) -> Iterator[Finding]:
    """The newest checkpoint of the run folder was made from the same files by the same planner."""
    path = RunFolder(config.out).checkpoints / LAST
    if not path.is_file():
        return
    problems: list[Finding] = []
    checkpoint = _try(RESUME, lambda: read_checkpoint(path), problems)
    yield from problems
    if checkpoint is None:
        return
    was = checkpoint.facts["fingerprints"]
    differing = [
        f"{name} ({was[name]} -> {now})" for name, now in fingerprints.items() if name in was and was[name] != now
    ]
    differing += differences(checkpoint.planner, config.subject, "planner")
    ranks = config.nodes * config.devices
    if checkpoint.facts.get("ranks", ranks) != ranks:
        differing.append(f"ranks ({checkpoint.facts['ranks']} -> {ranks})")
    if differing:
        yield refused(
            RESUME,
            f"{path} was made with other {', '.join(differing)}",
            "give another out=, or the files and numbers the run began with",
        )
    else:
        yield ok(RESUME, f"resumes from {path.name}: same planner, same files")


def _try(check: str, function: Callable[[], ValueT], findings: list[Finding]) -> ValueT | None:
    """The function's value; None and a refusal where it cannot be read."""
    try:
        return function()
    except (NavforgeError, OSError) as error:
        findings.append(refused_by(check, error, _REMEDIES[check]))
        return None

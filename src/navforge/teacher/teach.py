"""Score every vocabulary entry on every scene of a split into a `TeacherStore`; resumable, shard by shard.

`plan` says what is to be made, `teach_log` makes one shard of it, anywhere and in any order, `finish` joins them.
`make` does the last two with a runner: something that applies a function to items and tells what became of each
(`core.parallel.run`, `core.ray_pool.run`); `settle` with shards that are made another way (`teach_batched.run`).
Nothing of the result depends on who made which shard.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from navforge.core import parallel
from navforge.core.code import code_fingerprint, describe_changes, module_hashes
from navforge.core.errors import DataError
from navforge.core.failures import FAILURES, Failure, describe_failures, write_failures
from navforge.core.files import fingerprint
from navforge.core.parallel import Outcome
from navforge.data.splits import Split
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring.against_reference import Scores
from navforge.scoring.engine import score_plans
from navforge.scoring.protocols import Protocol, protocol
from navforge.simulation.plans import Plans, prepare_plans
from navforge.teacher import rows as taught
from navforge.teacher.packing import UNIT8, UNIT16, RowLayout
from navforge.teacher.shards import Row, is_finished, merge, shard_path, write_shard
from navforge.teacher.store import FORMAT, HEADER, SHARDS, TeacherStore, layout_of
from navforge.vocabulary.vocabulary import INTERVAL_S, Vocabulary

EP_RULE = "gated, against PDM-Closed alone"
"""`scoring.aggregate.gated_progress`; it replaces the benchmark's ego progress in its column, not in `score`."""

CODE = ("navforge.teacher.teach", "navforge.teacher.teach_batched")
"""Modules whose code, with all they import, decides a teacher's values."""

PROGRESS = {8: UNIT8, 16: UNIT16}
"""Encoding of ego progress by its number of bits."""

Item = tuple[str, tuple[str, ...]]
"""A log and its scenes."""
Runner = Callable[[Callable[[Item], None], Sequence[Item]], Iterable[Outcome[Item, None]]]
"""Applies a function to every item; tells what became of each, in any order."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What makes one shard like another: plain values, so that it can be written down for other machines."""

    out: str
    """The store, absolute."""
    cache: str
    """The metric cache, absolute."""
    cache_fingerprint: str
    """Fingerprint of the cache it is to be made from."""
    key: str
    """Fingerprint of the store."""
    code: str
    """Fingerprint of the code it is to be made with."""
    vocabulary: str
    """Fingerprint of the vocabulary in `SHARDS/vocabulary-FINGERPRINT.npy`."""
    protocol: str
    human_filter: bool
    entries: int
    progress_bits: int

    @property
    def rules(self) -> Protocol:
        """The protocol."""
        return protocol(self.protocol)

    @property
    def layout(self) -> RowLayout:
        """How rows are packed."""
        return taught.layout(self.rules, self.entries, PROGRESS[self.progress_bits])


@dataclass(frozen=True)
class Plan:
    """A store that is to be made."""

    out: Path
    header: dict[str, Any]
    """Of the store, but for what only the shards can tell."""
    logs: Mapping[str, tuple[str, ...]]
    """Scenes of each shard, in row order."""
    work: Work

    @property
    def finished(self) -> bool:
        """Whether the store is there."""
        return (self.out / HEADER).is_file()

    def missing(self) -> list[Item]:
        """Shards that are not there yet, in row order."""
        size = self.work.layout.row_bytes
        return [
            (log, tokens)
            for log, tokens in self.logs.items()
            if not is_finished(shard_path(self.out, log), self.work.key, tokens, size)
        ]


def plan(
    vocabulary: Vocabulary,
    split: Split,
    cache: Path,
    out: Path,
    *,
    protocol_name: str,
    human_filter: bool,
    progress_bits: int = 16,
) -> Plan:
    """Say what is to be made, and put the vocabulary where workers find it; `out` may hold a part of it or all.

    Raises:
        DataError: `out` holds a store of something else, or scenes are not in the cache.
    """
    found = MetricCache.open(cache)
    held = set(found.tokens)
    absent = [token for token in split.tokens if token not in held]
    if absent:
        raise DataError(
            f"metric cache {cache} lacks {len(absent)} of {len(split)} scenes of {split.name}, {absent[0]} for one; "
            "run navforge cache on this split"
        )
    header = _header(vocabulary, split, found.fingerprint, protocol(protocol_name), human_filter, progress_bits)
    work = Work(
        out=str(out.absolute()),
        cache=str(cache.absolute()),
        cache_fingerprint=found.fingerprint,
        key=header["fingerprint"],
        code=header["code"],
        vocabulary=vocabulary.fingerprint,
        protocol=protocol_name,
        human_filter=human_filter,
        entries=vocabulary.size,
        progress_bits=progress_bits,
    )
    made = Plan(out, header, split.logs, work)
    if made.finished:
        _check_same(out, vocabulary, header)
        shutil.rmtree(out / SHARDS, ignore_errors=True)  # left behind where the merge was killed at its very end
    else:
        vocabulary.save(_vocabulary_path(work))
    return made


def teach(
    vocabulary: Vocabulary,
    split: Split,
    cache: Path,
    out: Path,
    *,
    protocol_name: str,
    human_filter: bool,
    progress_bits: int = 16,
    workers: int = 0,
) -> TeacherStore:
    """Make the store on this machine, or finish one that was interrupted; a finished one that fits is opened as it is.

    Args:
        vocabulary: the entries.
        split: the scenes.
        cache: metric cache that holds them.
        out: folder of the store.
        protocol_name: whose sub-scores.
        human_filter: forgive what the human driver also fails (scores exactly 0).
        progress_bits: 8 or 16, width of ego progress.
        workers: threads; 0 one per CPU.

    Raises:
        DataError: `out` holds a store of something else, scenes are not in the cache, or a log failed.
    """
    made = plan(
        vocabulary,
        split,
        cache,
        out,
        protocol_name=protocol_name,
        human_filter=human_filter,
        progress_bits=progress_bits,
    )
    if not made.finished:
        settle(made, teach_logs(made.missing(), made.work, workers=workers))
    return TeacherStore.open(out, vocabulary)


def make(made: Plan, runner: Runner) -> None:
    """Make the shards that are missing and join all.

    Raises:
        DataError: a log failed; the others are kept, and `FAILURES` tells all causes.
    """
    settle(made, runner(partial(teach_log, work=made.work), made.missing()))


def settle(made: Plan, outcomes: Iterable[Outcome[Item, None]]) -> None:
    """Wait for the shards that are missing and join all.

    Raises:
        DataError: a log failed; the others are kept, and `FAILURES` tells all causes.
    """
    (made.out / FAILURES).unlink(missing_ok=True)
    failures = [
        {"log": outcome.item[0], "error": outcome.error, "traceback": outcome.traceback}
        for outcome in outcomes
        if not outcome.ok
    ]
    if failures:
        raise failed(made, failures)
    finish(made)


def teach_logs(items: Sequence[Item], work: Work, *, workers: int = 0) -> Iterator[Outcome[Item, None]]:
    """Make shards on threads of this process; yield what became of each as it is done.

    Scoring holds no lock of Python's. Scenes share `workers` threads; two logs are under way at a time, so that the end
    of one leaves no thread idle.

    Args:
        items: logs with the scenes of their shards.
        work: what is made.
        workers: threads that score; 0 one per CPU.
    """
    workers = workers or parallel.available_cpus()
    if workers == 1:
        yield from parallel.run_threads(partial(teach_log, work=work), items, threads=1, label="teaching")
        return
    pool = ThreadPoolExecutor(workers)
    try:
        yield from parallel.run_threads(partial(teach_log, work=work, pool=pool), items, threads=2, label="teaching")
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def teach_log(item: Item, work: Work, pool: Executor | None = None) -> None:
    """Make the shard of one log, unless it is there; `pool` scores its scenes, if there is one.

    Raises:
        DataError: this process runs other code than the store is made with, the cache is another one by now, or a scene
            cannot be scored; names it.
    """
    log_name, tokens = item
    layout, path = work.layout, shard_path(Path(work.out), log_name)
    if is_finished(path, work.key, tokens, layout.row_bytes):
        return
    check_code(work)
    wanted = set(tokens)
    scenes = {s.token: s for s in cache_of(work).load_log(log_name) if s.token in wanted}
    row = partial(_row, plans=plans_of(work), work=work, layout=layout)
    ordered = [scenes[token] for token in tokens]
    write_shard(path, work.key, pool.map(row, ordered) if pool is not None else map(row, ordered))


def check_code(work: Work) -> None:
    """Raise DataError if this process runs other code than the store is made with."""
    if code_fingerprint(*CODE) != work.code:
        raise DataError(
            "this process runs other code than the one that plans the store; install the same navforge for all workers"
        )


@lru_cache(maxsize=1)
def cache_of(work: Work) -> MetricCache:
    """The cache the store is made from, opened once per process; DataError if another one lies there by now."""
    found = MetricCache.open(Path(work.cache))
    if found.fingerprint != work.cache_fingerprint:
        raise DataError(
            f"the metric cache {work.cache} was made again since the store was planned (fingerprint "
            f"{found.fingerprint}, planned with {work.cache_fingerprint}); run navforge teach again"
        )
    return found


def failed(made: Plan, failures: list[dict[str, Any]]) -> DataError:
    """The error to raise for logs that failed, each with `log`, `error` and `traceback`; writes `FAILURES`."""
    logs = [Failure(None, failure["log"], str(failure["error"]), str(failure["traceback"])) for failure in failures]
    write_failures(made.out / FAILURES, logs)
    return DataError(
        f"{len(logs)} of {len(made.logs)} logs could not be scored (tracebacks: {made.out / FAILURES}):\n"
        f"{describe_failures(logs)}\nfinished logs are kept; remove the cause and run the same command again"
    )


def finish(made: Plan) -> None:
    """Join the shards into the store; raises DataError if any is missing."""
    merge(made.out, made.header, made.logs, made.work.layout.row_bytes)


def score_entries(scene: CachedScene, plans: Plans, rules: Protocol, *, human_filter: bool) -> Scores[Any]:
    """What the engine says of plans on one scene."""
    return score_plans(scene, plans, plans.interval_s, (rules,), human_filter)[rules.name]


@contextmanager
def naming(token: str) -> Iterator[None]:
    """Turn any error into one that names the scene."""
    try:
        yield
    except Exception as error:
        raise DataError(f"scene {token}: {type(error).__name__}: {error}") from error


def packed(scores: Scores[Any], rules: Protocol, layout: RowLayout) -> Row:
    """The row of a scene, read back and compared; raises DataError if it does not round-trip."""
    row = taught.pack(scores, rules, layout)
    lost = taught.rounding(row, scores, rules, layout)
    return Row(row=row, rounding=lost, best=float(scores.score.max()), mean=float(scores.score.mean()))


def vocabulary_of(work: Work) -> Vocabulary:
    """The entries; raises DataError if another vocabulary lies where `plan` put them."""
    path = _vocabulary_path(work)
    vocabulary = Vocabulary.load(path)
    if vocabulary.fingerprint != work.vocabulary:
        raise DataError(f"{path} was replaced by another vocabulary; run the same command again")
    return vocabulary


def _row(scene: CachedScene, plans: Plans, work: Work, layout: RowLayout) -> tuple[str, Row]:
    rules = work.rules
    with naming(scene.token):
        row = packed(score_entries(scene, plans, rules, human_filter=work.human_filter), rules, layout)
    return scene.token, row


def require_own(out: Path, vocabulary: Vocabulary) -> None:
    """Raise DataError if `out` holds the unfinished store of another vocabulary, whose shards would be replaced."""
    begun = {path.stem.removeprefix("vocabulary-") for path in (out / SHARDS).glob("vocabulary-*.npy")}
    if begun - {vocabulary.fingerprint}:
        raise DataError(
            f"{out} holds the unfinished store of vocabulary {min(begun - {vocabulary.fingerprint})}, the vocabulary "
            f"given is {vocabulary.fingerprint} ({vocabulary.size} entries); finish that one, remove the folder, or "
            "give another out="
        )


def _vocabulary_path(work: Work) -> Path:
    return Path(work.out) / SHARDS / f"vocabulary-{work.vocabulary}.npy"


@cache
def plans_of(work: Work) -> Plans:
    """The entries as the engine takes them, kept for the process; threads that ask at once may make them twice."""
    return prepare_plans(vocabulary_of(work).poses.astype(np.float64), INTERVAL_S)


def _header(
    vocabulary: Vocabulary, split: Split, cache_fingerprint: str, rules: Protocol, human_filter: bool, bits: int
) -> dict[str, Any]:
    layout = taught.layout(rules, vocabulary.size, PROGRESS[bits])
    decided_by = {
        "format": FORMAT,
        "fingerprints": {"vocabulary": vocabulary.fingerprint, "cache": cache_fingerprint, "split": split.hash},
        "protocol": rules.name,
        "human_filter": human_filter,
        "ep_rule": EP_RULE,
        "code": code_fingerprint(*CODE),
        "taught": True,
        "columns": {name: {"encoding": encoding.name, "bits": encoding.bits} for name, encoding in layout.columns},
    }
    about = {
        "split": split.name,
        "scenes": len(split),
        "missing_scenes": len(split.missing),
        "modules": dict(module_hashes(*CODE)),
        "entries": vocabulary.size,
        "row_bytes": layout.row_bytes,
    }
    return {"fingerprint": fingerprint(decided_by, list(split.logs.items())), **decided_by, **about}


def _check_same(out: Path, vocabulary: Vocabulary, header: dict[str, Any]) -> None:
    store = TeacherStore.open(out, vocabulary)
    if store.fingerprint != header["fingerprint"]:
        names = [n for n in header if n not in ("fingerprint", "modules") and store.header.get(n) != header[n]]
        code = describe_changes(store.header.get("modules"), header["modules"])
        reasons = [code if name == "code" else name for name in names]
        raise DataError(
            f"{out} holds another teacher store (differs in {', '.join(reasons) or 'the order of its scenes'}); give "
            "another out= or delete it"
        )
    assert layout_of(header) == store.layout

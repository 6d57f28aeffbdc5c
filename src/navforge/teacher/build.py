"""A teacher store of a split, log by log (`core.build`): shards by any executor, joined at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from navforge.core import parallel
from navforge.core.build import Executor, Piece, Report, Result, attempt, build, make
from navforge.core.code import code_fingerprint, describe_changes, module_hashes
from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.core.parallel import Outcome, available_cpus
from navforge.core.products import TEACHER
from navforge.data.splits import Split
from navforge.metric_cache.store import MetricCache
from navforge.scoring.protocols import Protocol, protocol
from navforge.teacher import rows as taught
from navforge.teacher import teach_batched
from navforge.teacher.shards import is_finished, merge, shard_path
from navforge.teacher.store import FORMAT, HEADER, SHARDS, TeacherStore, layout_of
from navforge.teacher.teach import CODE, EP_RULE, PROGRESS, Work, teach_log, vocabulary_path
from navforge.vocabulary.vocabulary import Vocabulary

Tokens = tuple[str, ...]
Outcomes = Iterator[Outcome[Piece[Any], Result[Any]]]


@dataclass(frozen=True, kw_only=True)
class TaughtLog(Piece[Tokens]):
    """The shard of one log; its entry is the scenes in it."""

    product = TEACHER
    work: Work
    tokens: Tokens

    @property
    def path(self) -> Path:
        """The shard."""
        return shard_path(self.out, self.name)

    @property
    def key(self) -> str:
        """Fingerprint of the store."""
        return self.work.key

    def code_here(self) -> str:
        """Fingerprint of the code of this process."""
        return code_fingerprint(*CODE)

    def check(self) -> Result[Tokens]:
        """What the shard holds; DataError if it is not whole or of another store."""
        if not is_finished(self.path, self.work.key, self.tokens, self.work.layout.row_bytes):
            raise DataError("the shard is damaged or of another store")
        return self.result()

    def make(self, pool: Pool | None = None) -> Result[Tokens]:
        """Score the scenes, in `pool` if there is one, and write the shard."""
        teach_log((self.name, self.tokens), self.work, pool)
        return self.result()

    def result(self) -> Result[Tokens]:
        """Of the shard that is there."""
        return Result(self.tokens, self.scenes, self.path.stat().st_size)


@dataclass(frozen=True)
class Threads:
    """Threads of this process, for scoring holds no lock of Python's.

    Scenes share them; two logs are under way at a time, so that the end of one leaves no thread idle.
    """

    workers: int = 0
    """0: one per CPU."""

    def __call__(self, pieces: Sequence[Piece[Any]], label: str) -> Outcomes:
        """See `Executor`."""
        workers = self.workers or available_cpus()
        if workers == 1:
            yield from parallel.run(make, pieces, workers=1, label=label)
            return
        pool = ThreadPoolExecutor(workers)
        try:
            score = partial(_make_in, pool=pool)
            for outcome in parallel.run_threads(score, cast(Sequence[TaughtLog], pieces), threads=2, label=label):
                yield cast(Outcome[Piece[Any], Result[Any]], outcome)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Gpu:
    """torch's current GPU scores; processes prepare and pack (`teach_batched`)."""

    workers: int = 0
    """Processes; 0: one per CPU."""

    def __call__(self, pieces: Sequence[Piece[Any]], label: str) -> Outcomes:
        """See `Executor`."""
        logs = {piece.name: piece for piece in cast(Sequence[TaughtLog], pieces)}
        work = next(iter(logs.values())).work
        items = [(piece.name, piece.tokens) for piece in logs.values()]
        scorer = teach_batched.scorer_on_gpu(work)
        for outcome in teach_batched.run(work, items, scorer, workers=self.workers, label=label):
            piece = logs[outcome.item[0]]
            yield Outcome(piece, piece.result() if outcome.ok else None, outcome.error, outcome.traceback)


def _make_in(piece: TaughtLog, pool: Pool) -> Result[Tokens]:
    """As `core.build.make`, without its seconds, which would be those of all threads."""
    return replace(attempt(piece, partial(piece.make, pool)), seconds=0.0)


@dataclass(frozen=True)
class Plan:
    """A store that is to be made."""

    out: Path
    header: dict[str, Any]
    """Of the store, but for what only the shards can tell."""
    pieces: Sequence[TaughtLog]

    @property
    def finished(self) -> bool:
        """Whether the store is there."""
        return (self.out / HEADER).is_file()

    def build(self, executor: Executor, workers: int = 0) -> Report[Tokens]:
        """Make the shards that are missing and join all; see `core.build.build`."""
        return build(self.pieces, lambda _: self.finish(), executor=executor, workers=workers)

    def finish(self) -> None:
        """Join the shards into the store; DataError if any is missing."""
        logs = {piece.name: piece.tokens for piece in self.pieces}
        merge(self.out, self.header, logs, self.pieces[0].work.layout.row_bytes)


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

    Args:
        vocabulary: the entries.
        split: the scenes.
        cache: metric cache that holds them.
        out: folder of the store.
        protocol_name: whose sub-scores.
        human_filter: forgive what the human driver also fails (scores exactly 0).
        progress_bits: 8 or 16, width of ego progress.

    Raises:
        DataError: `out` holds a store of something else, or scenes are not in the cache.
    """
    opened = MetricCache.open(cache)
    held = set(opened.tokens)
    absent = [token for token in split.tokens if token not in held]
    if absent:
        raise DataError(
            f"metric cache {cache} lacks {len(absent)} of {len(split)} scenes of {split.name}, {absent[0]} for one; "
            "run navforge cache on this split"
        )
    header = _header(vocabulary, split, opened.fingerprint, protocol(protocol_name), human_filter, progress_bits)
    work = Work(
        out=str(out.absolute()),
        cache=str(cache.absolute()),
        cache_fingerprint=opened.fingerprint,
        key=header["fingerprint"],
        code=header["code"],
        vocabulary=vocabulary.fingerprint,
        protocol=protocol_name,
        human_filter=human_filter,
        entries=vocabulary.size,
        progress_bits=progress_bits,
    )
    pieces = [
        TaughtLog(name=log, scenes=len(tokens), out=out, code=work.code, work=work, tokens=tokens)
        for log, tokens in split.logs.items()
    ]
    planned = Plan(out, header, pieces)
    if planned.finished:
        _check_same(out, vocabulary, header)
        shutil.rmtree(out / SHARDS, ignore_errors=True)  # left behind where the merge was killed at its very end
    else:
        vocabulary.save(vocabulary_path(work))
    return planned


def teach(
    vocabulary: Vocabulary, split: Split, cache: Path, out: Path, *, workers: int = 0, **settings: Any
) -> TeacherStore:
    """Make the store on threads of this process, or finish one; a finished one that fits is opened as it is.

    `settings` and errors are those of `plan`; DataError also if a log failed.
    """
    planned = plan(vocabulary, split, cache, out, **settings)
    if not planned.finished:
        report = planned.build(Threads(workers), workers)
        if not report.complete:
            raise report.error()
    return TeacherStore.open(out, vocabulary)


def require_own(out: Path, vocabulary: Vocabulary) -> None:
    """Raise DataError if `out` holds the unfinished store of another vocabulary, whose shards would be replaced."""
    begun = {path.stem.removeprefix("vocabulary-") for path in (out / SHARDS).glob("vocabulary-*.npy")}
    if begun - {vocabulary.fingerprint}:
        raise DataError(
            f"{out} holds the unfinished store of vocabulary {min(begun - {vocabulary.fingerprint})}, the vocabulary "
            f"given is {vocabulary.fingerprint} ({vocabulary.size} entries); finish that one, remove the folder, or "
            "give another out="
        )


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

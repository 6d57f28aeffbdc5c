"""Every vocabulary entry scored on the scenes of a log, packed into the shard of a teacher store."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from navforge.core.code import code_fingerprint
from navforge.core.errors import DataError
from navforge.core.failures import cause_of
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring.against_reference import Scores
from navforge.scoring.engine import score_plans
from navforge.scoring.protocols import Protocol, protocol
from navforge.simulation.plans import Plans, prepare_plans
from navforge.teacher import rows as taught
from navforge.teacher.packing import UNIT8, UNIT16, RowLayout
from navforge.teacher.shards import Row, is_finished, shard_path, write_shard
from navforge.teacher.store import SHARDS
from navforge.vocabulary.vocabulary import INTERVAL_S, Vocabulary

EP_RULE = "gated, against PDM-Closed alone"
"""`scoring.aggregate.gated_progress`; it replaces the benchmark's ego progress in its column, not in `score`."""

CODE = ("navforge.teacher.teach", "navforge.teacher.teach_batched")
"""Modules whose code, with all they import, decides a teacher's values."""

PROGRESS = {8: UNIT8, 16: UNIT16}
"""Encoding of ego progress by its number of bits."""

Item = tuple[str, tuple[str, ...]]
"""A log and its scenes."""


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
    chosen = set(tokens)
    scenes = {s.token: s for s in cache_of(work).load_log(log_name) if s.token in chosen}
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
    cache = MetricCache.open(Path(work.cache))
    if cache.fingerprint != work.cache_fingerprint:
        raise DataError(
            f"the metric cache {work.cache} was made again since the store was planned (fingerprint "
            f"{cache.fingerprint}, planned with {work.cache_fingerprint}); run navforge teach again"
        )
    return cache


def score_entries(scene: CachedScene, plans: Plans, rules: Protocol, *, human_filter: bool) -> Scores[Any]:
    """What the engine says of plans on one scene."""
    return score_plans(scene, plans, plans.interval_s, (rules,), human_filter)[rules.name]


@contextmanager
def naming(token: str) -> Iterator[None]:
    """Turn any error into one that names the scene."""
    try:
        yield
    except Exception as error:
        raise DataError(f"scene {token}: {cause_of(error)}") from error


def packed(scores: Scores[Any], rules: Protocol, layout: RowLayout) -> Row:
    """The row of a scene, read back and compared; raises DataError if it does not round-trip."""
    row = taught.pack(scores, rules, layout)
    lost = taught.rounding(row, scores, rules, layout)
    return Row(row=row, rounding=lost, best=float(scores.score.max()), mean=float(scores.score.mean()))


def vocabulary_of(work: Work) -> Vocabulary:
    """The entries; raises DataError if another vocabulary lies where `plan` put them."""
    path = vocabulary_path(work)
    vocabulary = Vocabulary.load(path)
    if vocabulary.fingerprint != work.vocabulary:
        raise DataError(f"{path} was replaced by another vocabulary; run the same command again")
    return vocabulary


def _row(scene: CachedScene, plans: Plans, work: Work, layout: RowLayout) -> tuple[str, Row]:
    rules = work.rules
    with naming(scene.token):
        row = packed(score_entries(scene, plans, rules, human_filter=work.human_filter), rules, layout)
    return scene.token, row


def vocabulary_path(work: Work) -> Path:
    """Where workers find the entries."""
    return Path(work.out) / SHARDS / f"vocabulary-{work.vocabulary}.npy"


@cache
def plans_of(work: Work) -> Plans:
    """The entries as the engine takes them, kept for the process; threads that ask at once may make them twice."""
    return prepare_plans(vocabulary_of(work).poses.astype(np.float64), INTERVAL_S)

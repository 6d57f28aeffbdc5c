"""Shards made many scenes at a time: processes prepare scenes and pack rows, this one scores between, on a GPU say.

    slice of a shard --process--> `SceneBatch` --this process--> `Raw` results --process--> rows --this process--> shard

Bytes are those of `teach.teach_log`, which scores scene by scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from navforge.core import parallel
from navforge.core.parallel import Outcome, available_cpus
from navforge.scoring.against_reference import Terms, compare
from navforge.scoring.batch.cpu import score_plans_on_cpu
from navforge.scoring.batch.scenes import SceneBatch, prepare_batch
from navforge.scoring.engine import PLAN, check_simulated
from navforge.teacher.shards import Row, shard_path, write_shard
from navforge.teacher.teach import Item, Work, cache_of, check_code, naming, packed, plans_of, vocabulary_of
from navforge.vocabulary.vocabulary import INTERVAL_S

Float = NDArray[np.float64]

Scorer = Callable[[SceneBatch], tuple[Float, NDArray[np.int16]]]
"""Gives raw results (`Column`, S, N) and events (2, S, N), on the host, of all entries in every scene of a batch."""

SCENES = 32
"""Most scenes of a slice; with 8192 entries what a GPU has work space for at a time."""
AHEAD = 2
"""Slices under way per process."""


def scorer_on_cpu(work: Work, *, threads: int | None = None) -> Scorer:
    """Score on threads of this process; None: all it may use."""
    plans = plans_of(work)

    def score(batch: SceneBatch) -> tuple[Float, NDArray[np.int16]]:
        return score_plans_on_cpu(batch.arrays, batch.devkit, plans, threads=threads)

    return score


def scorer_on_gpu(work: Work) -> Scorer:
    """Score on torch's current GPU, where the entries stay.

    Raises:
        NavforgeError: no compiler for its kernels on this machine.
    """
    import torch  # noqa: PLC0415 (only with a GPU)

    from navforge.geometry.cuda import compiler_version  # noqa: PLC0415
    from navforge.scoring.batch.cuda import TorchDevice, make_resident, score_batch_on_device  # noqa: PLC0415

    compiler_version()
    device = TorchDevice(torch.device("cuda", torch.cuda.current_device()))
    poses = device.upload(vocabulary_of(work).poses.astype(np.float64))

    def score(batch: SceneBatch) -> tuple[Float, NDArray[np.int16]]:
        resident = make_resident(device, batch.arrays, batch.layout, batch.memory)
        raw = score_batch_on_device(device, resident, batch.devkit, poses, INTERVAL_S, shared=True)
        results, events = (array.cpu().numpy().reshape(len(array), len(batch), -1) for array in raw)
        return results, events

    return score


def run(
    work: Work, items: Sequence[Item], scorer: Scorer, *, workers: int = 0, label: str = ""
) -> Iterator[Outcome[Item, None]]:
    """Make shards; yield the outcome of each as it finishes. A log that fails does not stop the others.

    Args:
        work: what is made.
        items: logs with the scenes of their shards.
        scorer: scores batches in this process, one at a time. An error of its own stops everything.
        workers: processes that prepare and pack; 0 one per CPU.
        label: text before the progress bar.

    Raises:
        DataError: this process runs other code than the store is made with.
        NavforgeError: a worker was killed.
    """
    check_code(work)
    workers = workers or available_cpus()
    with parallel.progress(label, len(items)) as bar, parallel.process_pool(workers) as pool:
        for outcome in shards(work, items, scorer, pool, ahead=AHEAD * workers):
            bar.advance(bar.task_ids[0])
            yield outcome


def shards(
    work: Work, items: Iterable[Item], scorer: Scorer, pool: ProcessPoolExecutor, *, ahead: int
) -> Iterator[Outcome[Item, None]]:
    """As `run` with a pool that is there already, at most `ahead` slices under way."""
    return _Pipeline(work, scorer, pool).run(items, ahead)


class Raw(NamedTuple):
    """Raw results of all entries in the scenes of a slice."""

    tokens: tuple[str, ...]
    results: Float
    """(`Column`, S, N)"""
    events: NDArray[np.int16]
    """(2, S, N)"""
    terms: Terms
    """What entries are compared with, (S, 1)."""


@dataclass(eq=False)
class _Shard:
    """A shard on its way."""

    item: Item
    rows: dict[str, Row] = field(default_factory=dict)
    failed: bool = False


_Step = tuple[_Shard, Callable[[_Shard, Any], Outcome[Item, None] | None]]
"""Where a slice belongs, and what to do with what comes back from the pool."""


class _Pipeline:
    """Slices on their way through a pool: each is prepared there, scored here, packed there."""

    def __init__(self, work: Work, scorer: Scorer, pool: ProcessPoolExecutor) -> None:
        self._work, self._scorer, self._pool = work, scorer, pool
        self._prepare, self._pack = partial(prepare_slice, work=work), partial(pack_slice, work=work)
        self._waiting: dict[Future[Outcome[None, Any]], _Step] = {}

    def run(self, items: Iterable[Item], ahead: int) -> Iterator[Outcome[Item, None]]:
        """Outcomes of shards as they come, at most `ahead` slices under way."""
        slices = _slices(items)
        while True:
            while len(self._waiting) < ahead and (found := next(slices, None)) is not None:
                shard, tokens = found
                future = self._pool.submit(_attempt, self._prepare, (shard.item[0], tokens))
                self._waiting[future] = shard, self._prepared
            if not self._waiting:
                return
            for future in wait(self._waiting, return_when=FIRST_COMPLETED).done:
                shard, then = self._waiting.pop(future)
                outcome = future.result()
                if shard.failed:
                    continue
                ended = then(shard, outcome.result) if outcome.ok else _given_up(shard, outcome)
                if ended is not None:
                    yield ended

    def _prepared(self, shard: _Shard, batch: SceneBatch) -> None:
        raw = Raw(batch.tokens, *self._scorer(batch), batch.terms(self._work.rules, self._work.human_filter))
        self._waiting[self._pool.submit(_attempt, self._pack, raw)] = shard, self._packed

    def _packed(self, shard: _Shard, rows: dict[str, Row]) -> Outcome[Item, None] | None:
        shard.rows |= rows
        if len(shard.rows) < len(shard.item[1]):
            return None
        return parallel.call(partial(_write, rows=shard.rows, work=self._work), shard.item)


def _attempt(function: Callable[[Any], Any], item: Any) -> Outcome[None, Any]:
    """In a process of the pool: what became of an item, without the item, which need not travel back."""
    return replace(parallel.call(function, item), item=None)


def _given_up(shard: _Shard, cause: Outcome[None, Any]) -> Outcome[Item, None]:
    shard.failed = True
    shard.rows.clear()
    return Outcome(shard.item, None, cause.error, cause.traceback)


def _write(item: Item, rows: dict[str, Row], work: Work) -> None:
    log_name, tokens = item
    write_shard(shard_path(Path(work.out), log_name), work.key, [(token, rows[token]) for token in tokens])


def _slices(items: Iterable[Item]) -> Iterator[tuple[_Shard, tuple[str, ...]]]:
    """Shards with up to `SCENES` of their scenes at a time; no more of one that failed."""
    for item in items:
        tokens, shard = item[1], _Shard(item)
        for first in range(0, len(tokens), SCENES):
            if not shard.failed:
                yield shard, tokens[first : first + SCENES]


def prepare_slice(chosen: Item, work: Work) -> SceneBatch:
    """Some scenes of a log from the cache, ready to be scored.

    Raises:
        DataError: this process runs other code than the store is made with, or a scene cannot be prepared; names it.
    """
    check_code(work)
    scenes = []
    for token in chosen[1]:
        with naming(token):
            scenes.append(cache_of(work).load(token))
    return prepare_batch(scenes, work.rules)


def pack_slice(raw: Raw, work: Work) -> dict[str, Row]:
    """Row of each scene.

    Raises:
        DataError: a plan could not be simulated, or a row does not round-trip; names the scene.
    """
    rules, layout, rows = work.rules, work.layout, {}
    reference_m, forgiven = raw.terms
    for s, token in enumerate(raw.tokens):
        with naming(token):
            check_simulated(raw.results[:, s], PLAN)
            terms = Terms(reference_m[s, 0], {name: column[s, 0] for name, column in forgiven.items()})
            rows[token] = packed(compare(raw.results[:, s], raw.events[:, s], terms, rules), rules, layout)
    return rows

"""Score every vocabulary entry on every scene of a split into a `TeacherStore`; resumable, log by log."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.core.files import atomic_path, fingerprint, write_json, write_text
from navforge.data.splits import Split
from navforge.metric_cache.fingerprint import code_fingerprint
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring import aggregate
from navforge.scoring.engine import score_plans
from navforge.scoring.metrics import EGO_PROGRESS
from navforge.scoring.protocols import Protocol, protocol
from navforge.vocabulary.teacher import FORMAT, HEADER, PROGRESS, SCORE, TOKENS, TeacherStore, encode, encoding_of
from navforge.vocabulary.vocabulary import INTERVAL_S, Vocabulary

Float = NDArray[np.float64]

FAILURES = "failures.json"
"""Logs that failed in the last run, with cause and traceback; absent if none did."""

EP_RULE = "gated, against PDM-Closed alone"
"""`scoring.aggregate.gated_progress`; it replaces the benchmark's ego progress in its column, not in `score`."""

CODE = ("geometry", "metric_cache", "scoring", "simulation", "vocabulary")
"""Packages whose code decides a teacher's values."""


@dataclass(frozen=True)
class _Work:
    """What every worker needs."""

    cache: Path
    protocol: str
    human_filter: bool
    poses: NDArray[np.float32]
    parts: Path
    key: str


def teach(
    vocabulary: Vocabulary,
    split: Split,
    cache: Path,
    out: Path,
    *,
    protocol_name: str,
    human_filter: bool,
    workers: int = 0,
) -> TeacherStore:
    """Build the store, or finish one that was interrupted; a finished one that fits is opened as it is.

    Raises:
        DataError: `out` holds a store of something else, scenes are not in the cache, or a log failed.
    """
    found = MetricCache.open(cache)
    cached = set(found.tokens)
    absent = [token for token in split.tokens if token not in cached]
    if absent:
        raise DataError(
            f"metric cache {cache} lacks {len(absent)} of {len(split)} scenes of {split.name}, {absent[0]} for one; "
            "run navforge cache on this split"
        )
    header = _header(vocabulary, split, found.fingerprint, protocol(protocol_name), human_filter)
    if (out / HEADER).is_file():
        return _reopen(out, vocabulary, header)
    work = _Work(cache, protocol_name, human_filter, vocabulary.poses, out / "parts", header["fingerprint"])
    items = [(log_name, tokens) for log_name, tokens in split.logs.items()]
    (out / FAILURES).unlink(missing_ok=True)
    failures = []
    for outcome in parallel.run(partial(_score_log, work=work), items, workers=workers, label="teaching"):
        if not outcome.ok:
            failures.append({"log": outcome.item[0], "error": outcome.error, "traceback": outcome.traceback})
    if failures:
        failures.sort(key=lambda failure: str(failure["log"]))
        write_json(out / FAILURES, failures)
        first, cause = failures[0]["log"], str(failures[0]["error"]).partition("\n")[0]
        raise DataError(
            f"{len(failures)} of {len(items)} logs could not be scored (tracebacks: {out / FAILURES}); finished logs "
            f"are kept; the first: log {first}: {cause}"
        )
    _join(work, split, out, header)
    return TeacherStore.open(out, vocabulary)


def score_entries(
    scene: CachedScene, poses: Float, interval_s: float, rules: Protocol, *, human_filter: bool
) -> dict[str, Float]:
    """Teacher values (N,) of plans of one scene, by column; `EP_RULE` says how progress is normalised.

    Args:
        scene: cached scene.
        poses: (N, T, 3) ego frame.
        interval_s: time between poses.
        rules: the protocol.
        human_filter: forgive what the human driver also fails (scores exactly 0).

    Returns:
        The protocol's sub-scores and `score` as `scoring.engine.score_plans` gives them (without extended comfort;
        ego progress by `EP_RULE`), and `progress_m`.
    """
    plans = score_plans(scene, poses, interval_s, (rules,), human_filter)[rules.name]
    progress = aggregate.gated_progress(plans.progress_m, plans.gates, plans.reference_gated_m)
    return {
        **plans.values,
        EGO_PROGRESS.name: progress,
        SCORE: plans.score,
        PROGRESS: np.maximum(plans.progress_m, 0.0),
    }


def _header(vocabulary: Vocabulary, split: Split, cache: str, rules: Protocol, human_filter: bool) -> dict[str, Any]:
    columns = {name: asdict(encoding_of(name)) for name in (*rules.columns, SCORE, PROGRESS)}
    decided_by = {
        "format": FORMAT,
        "fingerprints": {"vocabulary": vocabulary.fingerprint, "cache": cache, "split": split.hash},
        "protocol": rules.name,
        "human_filter": human_filter,
        "ep_rule": EP_RULE,
        "code": code_fingerprint(CODE),
        "columns": columns,
    }
    about = {"split": split.name, "scenes": len(split), "missing_scenes": len(split.missing)}
    return {"fingerprint": fingerprint(decided_by), **decided_by, **about, "entries": vocabulary.size}


def _reopen(out: Path, vocabulary: Vocabulary, header: dict[str, Any]) -> TeacherStore:
    store = TeacherStore.open(out, vocabulary)
    if store.fingerprint != header["fingerprint"]:
        names = [n for n in header if n != "fingerprint" and store.header.get(n) != header[n]]
        raise DataError(
            f"{out} holds another teacher store (differs in {', '.join(names)}); give another out= or delete it"
        )
    return store


def _score_log(item: tuple[str, tuple[str, ...]], work: _Work) -> None:
    log_name, tokens = item
    part = work.parts / f"{log_name}.npz"
    if _part_fits(part, tokens, work):
        return
    rules = protocol(work.protocol)
    wanted = set(tokens)
    scenes = {s.token: s for s in MetricCache.open(work.cache).load_log(log_name) if s.token in wanted}
    poses = work.poses.astype(np.float64)
    rows = [score_entries(scenes[token], poses, INTERVAL_S, rules, human_filter=work.human_filter) for token in tokens]
    columns = {name: np.stack([encode(row[name], encoding_of(name), name) for row in rows]) for name in rows[0]}
    arrays: dict[str, Any] = {"key": np.array(work.key), "tokens": np.array(tokens), **columns}
    with atomic_path(part) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def _part_fits(part: Path, tokens: tuple[str, ...], work: _Work) -> bool:
    try:
        with np.load(part, allow_pickle=False) as found:
            whole = all(found[name].shape == (len(tokens), len(work.poses)) for name in found.files[2:])
            return whole and str(found["key"]) == work.key and tuple(found["tokens"]) == tokens
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def _join(work: _Work, split: Split, out: Path, header: dict[str, Any]) -> None:
    """One file per column from the parts; the header, written last, makes the store whole."""
    shape = (len(split), header["entries"])
    for name, about in header["columns"].items():
        with atomic_path(out / f"{name}.npy") as temporary:
            joined = np.lib.format.open_memmap(temporary, mode="w+", dtype=about["dtype"], shape=shape)
            row = 0
            for log_name, tokens in split.logs.items():
                with np.load(work.parts / f"{log_name}.npz", allow_pickle=False) as part:
                    joined[row : row + len(tokens)] = part[name]
                row += len(tokens)
            joined.flush()
            del joined
    write_text(out / TOKENS, "\n".join(split.tokens) + "\n")
    write_json(out / HEADER, header)
    shutil.rmtree(work.parts)

"""Scoring of many scenes over a pool of processes, one log per item; every failure is named, none is dropped."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.evaluation.failures import Failure, ScenesFailedError
from navforge.evaluation.tables import ORDER, schema
from navforge.evaluation.trajectories import Trajectories, listing
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring import aggregate
from navforge.scoring.engine import PlanScores, score_plans
from navforge.scoring.extended_comfort import previous_scenes, two_frame_extended_comfort
from navforge.scoring.protocols import protocol
from navforge.scoring.traffic import LOG_REPLAY
from navforge.simulation.selfcheck import check


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How to score."""

    protocols: tuple[str, ...]
    human_filter: bool | None
    """None: each protocol's own rule."""
    extended_comfort: bool
    """Pair trajectory n of a scene with trajectory n of the scene before, where the protocol asks for it."""
    traffic: str = LOG_REPLAY
    """log_replay or reactive."""


@dataclass(frozen=True, kw_only=True)
class LogItem:
    """The trajectories of one log."""

    cache: Path
    log_name: str
    tokens: tuple[str, ...]
    poses: NDArray[np.float64]
    """(S, N, T, 3)"""
    interval_s: float
    rules: Rules


@dataclass(frozen=True, kw_only=True)
class LogScores:
    """Rows of one log and its failures."""

    frame: pl.DataFrame
    failures: tuple[Failure, ...]


def score_trajectories(
    trajectories: Trajectories, logs: dict[str, str], cache: MetricCache, rules: Rules, *, workers: int = 0
) -> pl.DataFrame:
    """Score every trajectory against the PDM-Closed reference of its scene.

    Args:
        trajectories: what to score.
        logs: log name of every token.
        cache: metric cache that holds the scenes.
        rules: protocols, human filter, extended comfort.
        workers: processes; 0 means one per CPU.

    Returns:
        Rows with the columns of `tables.schema(rules.protocols)`, sorted by `tables.ORDER` whatever log ended first.

    Raises:
        DataError: scenes that are not in the cache.
        ScenesFailedError: some scenes failed; the exception lists them.
    """
    check()
    check_cached(trajectories.tokens, cache)
    items = _items(trajectories, logs, cache.folder, rules)
    frames: list[pl.DataFrame] = []
    failures: list[Failure] = []
    for outcome in parallel.run(score_log, items, workers=workers, label="scoring"):
        if outcome.result is None:
            error, trace = str(outcome.error), str(outcome.traceback)
            failures += [Failure(token, outcome.item.log_name, error, trace) for token in outcome.item.tokens]
        else:
            frames.append(outcome.result.frame)
            failures += outcome.result.failures
    if failures:
        raise ScenesFailedError("scoring", failures, len(trajectories.tokens))
    return pl.concat(frames).sort(ORDER)


def check_cached(tokens: Sequence[str], cache: MetricCache) -> None:
    """Raise DataError naming the scenes that are not in the cache, with the cause where it is known."""
    absent = [token for token in tokens if token not in cache]
    if absent:
        named = [f"{token} ({cache.failed[token]})" if token in cache.failed else token for token in absent]
        raise DataError(
            f"{len(absent)} of {len(tokens)} scenes are not in the metric cache {cache.folder}: {listing(named)}; "
            "build it for this split with navforge cache, or give allow_missing=true to leave them out"
        )


def score_log(item: LogItem) -> LogScores:
    """Score the trajectories of one log, scenes in time order; a scene's exception is recorded, the others go on."""
    rows_of = {token: row for row, token in enumerate(item.tokens)}
    scenes = [scene for scene in MetricCache.open(item.cache).load_log(item.log_name) if scene.token in rows_of]
    scenes.sort(key=lambda scene: scene.time_us)
    failures = [
        Failure(token, item.log_name, f"DataError: not among log {item.log_name} in the metric cache", "")
        for token in sorted(rows_of.keys() - {scene.token for scene in scenes})
    ]
    before = previous_scenes([item.log_name] * len(scenes), [scene.time_us for scene in scenes])
    last: tuple[int, NDArray[np.float64]] | None = None
    frames = []
    for i, scene in enumerate(scenes):
        try:
            plans = score_plans(
                scene,
                item.poses[rows_of[scene.token]],
                item.interval_s,
                item.rules.protocols,
                item.rules.human_filter,
                traffic=item.rules.traffic,
                with_states=item.rules.extended_comfort,
            )
            states = next(iter(plans.values())).states
            extended = None
            if states is not None and last is not None and last[0] == before[i]:
                gap_s = (scene.time_us - scenes[last[0]].time_us) * 1e-6
                extended = two_frame_extended_comfort(states, last[1], gap_s)
            frames += [_rows(scene, name, scores, extended, item.rules) for name, scores in plans.items()]
            last = (i, states) if states is not None else None
        except Exception as error:  # the scene boundary: recorded with its token, refused by the caller
            cause = f"{type(error).__name__}: {error}"
            failures.append(Failure(scene.token, item.log_name, cause, traceback.format_exc()))
    columns = schema(item.rules.protocols)
    return LogScores(frame=pl.concat(frames) if frames else pl.DataFrame(schema=columns), failures=tuple(failures))


def _rows(
    scene: CachedScene, name: str, scores: PlanScores, extended: NDArray[np.float64] | None, rules: Rules
) -> pl.DataFrame:
    """Rows of one scene under one protocol, in the columns of the whole table."""
    one = protocol(name)
    count = len(scores.score)
    final = scores.score
    values: dict[str, object] = dict(scores.values)
    if one.two_frame is not None:
        values[one.two_frame.name] = extended
        if extended is not None:
            final = aggregate.score(scores.scored, one, extended)
    filtered = one.human_filter if rules.human_filter is None else rules.human_filter
    values |= {
        "token": [scene.token] * count,
        "index": np.arange(count, dtype=np.int32),
        "protocol": [name] * count,
        "log_name": [scene.log_name] * count,
        "human_filter": [filtered and not scene.synthetic] * count,
        "progress_m": scores.progress_m,
        "score": final,
    }
    columns = schema(rules.protocols)
    empty = [None] * count
    return pl.DataFrame({c: values[c] if values.get(c) is not None else empty for c in columns}, schema=columns)


def _items(trajectories: Trajectories, logs: dict[str, str], cache: Path, rules: Rules) -> list[LogItem]:
    rows: dict[str, list[int]] = {}
    for row, token in enumerate(trajectories.tokens):
        rows.setdefault(logs[token], []).append(row)
    return [
        LogItem(
            cache=cache,
            log_name=log,
            tokens=tuple(trajectories.tokens[row] for row in rows[log]),
            poses=trajectories.poses[rows[log]],
            interval_s=trajectories.interval_s,
            rules=rules,
        )
        for log in sorted(rows)
    ]

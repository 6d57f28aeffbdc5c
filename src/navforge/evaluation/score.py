"""Trajectories of a split in, a checked score table out: what `navforge score` calls.

Logs are scored over a pool of processes; every failure is named, none is dropped.
"""

from __future__ import annotations

import importlib.metadata
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from navforge.core import parallel
from navforge.core.config import SWITCH
from navforge.core.errors import ConfigError, DataError
from navforge.data.label_subsets import LabelFacts
from navforge.data.splits import Split
from navforge.evaluation.failures import Failure, ScenesFailedError
from navforge.evaluation.plan_metrics import measure_plans
from navforge.evaluation.tables import ORDER, ScoreTable, TableMeta, missing_hash, schema
from navforge.evaluation.trajectories import Trajectories, listing
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring import aggregate
from navforge.scoring.against_reference import Scores
from navforge.scoring.engine import score_plans
from navforge.scoring.extended_comfort import previous_scenes, two_frame_extended_comfort
from navforge.scoring.protocols import protocol
from navforge.scoring.traffic import LOG_REPLAY, REACTIVE, check_traffic
from navforge.simulation.plans import prepare_plans
from navforge.simulation.rollout import drive
from navforge.simulation.selfcheck import check
from navforge.training.loop.epochs import TrainingLength


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
    measure: bool
    """Compute the metrics of `plan_metrics` too."""


@dataclass(frozen=True, kw_only=True)
class _LogItem:
    """The trajectories of one log."""

    cache: Path
    log_name: str
    tokens: tuple[str, ...]
    poses: NDArray[np.float64]
    """(S, N, T, 3)"""
    interval_s: float
    rules: Rules


@dataclass(frozen=True, kw_only=True)
class _LogScores:
    """Rows of one log and its failures."""

    frame: pl.DataFrame
    metrics: pl.DataFrame | None
    failures: tuple[Failure, ...]


def check_cached(tokens: Sequence[str], cache: MetricCache) -> None:
    """Raise DataError naming the scenes that are not in the cache, with the cause where it is known."""
    absent = [token for token in tokens if token not in cache]
    if absent:
        named = [f"{token} ({cache.failed[token]})" if token in cache.failed else token for token in absent]
        raise DataError(
            f"{len(absent)} of {len(tokens)} scenes are not in the metric cache {cache.folder}: {listing(named)}; "
            "build it for this split with navforge cache, or give allow_missing=true to leave them out"
        )


def open_cache(folder: Path, split: Split, *, allow_missing: bool = False) -> MetricCache:
    """The metric cache, checked to hold every scene of the split unless `allow_missing`.

    Raises:
        DataError: no complete cache, one made by other code, or one that lacks scenes; those that could not be cached
            are named with the cause.
    """
    cache = MetricCache.open(folder)
    if not allow_missing:
        check_cached(split.tokens, cache)
    return cache


def score_split(  # noqa: PLR0913
    trajectories: Trajectories,
    split: Split,
    cache: MetricCache,
    protocols: tuple[str, ...],
    *,
    human_filter: str = "auto",
    extended_comfort: str = "auto",
    traffic: str = LOG_REPLAY,
    agent: tuple[str, str | None] | None = None,
    labels: LabelFacts | None = None,
    length: TrainingLength | None = None,
    allow_missing: bool = False,
    workers: int = 0,
) -> ScoreTable:
    """Score trajectories for scenes of a split.

    Args:
        trajectories: for all scenes of the split, or for some of them with `allow_missing`.
        split: the scenes they belong to.
        cache: metric cache of the split (`open_cache`).
        protocols: names of the rules.
        human_filter: auto (each protocol's own rule), on or off.
        extended_comfort: whether trajectory n of a scene and trajectory n of the scene before are plans of one
            planner, as extended comfort needs. auto: yes for one trajectory per scene, no for several, which are
            alternatives to each other (a vocabulary, say) and follow no previous plan.
        traffic: log_replay, or reactive: vehicles react to each plan, which takes one trajectory per scene.
        agent: name of who planned and fingerprint of the weights behind it, for the metadata.
        labels: the label subset the agent learned from, for the metadata.
        length: how long the agent learned, for the metadata.
        allow_missing: leave out scenes without a trajectory and those the cache lacks; they count as missing.
        workers: processes; 0 means one per CPU.

    Raises:
        ConfigError: reactive traffic for a protocol without it, or for several trajectories per scene.
        DataError: a trajectory of a scene outside the split or of one the cache lacks, or a scene without one.
        ScenesFailedError: some scenes could not be scored.
    """
    check_traffic(traffic, map(protocol, protocols))
    if traffic == REACTIVE and trajectories.per_scene != 1:
        raise ConfigError(
            f"traffic=reactive: there are {trajectories.per_scene} trajectories per scene, but reactive traffic "
            "answers one plan; give one trajectory per scene, or use traffic=log_replay"
        )
    log_of = {token: log for log, tokens in split.logs.items() for token in tokens}
    _require_covered(trajectories, split, log_of, allow_missing=allow_missing)
    paired = SWITCH[extended_comfort]
    rules = Rules(
        protocols=protocols,
        human_filter=SWITCH[human_filter],
        extended_comfort=trajectories.per_scene == 1 if paired is None else paired,
        traffic=traffic,
        measure=trajectories.per_scene == 1,
    )
    if allow_missing:
        trajectories = trajectories.only(set(cache.tokens))
    frame, metrics = _score_trajectories(trajectories, log_of, cache, rules, workers)
    absent = sorted(set(split.tokens) - set(trajectories.tokens)) + list(split.missing)
    meta = TableMeta(
        protocols=protocols,
        split=split.name,
        split_hash=split.hash,
        split_scenes=len(split) + len(split.missing),
        missing=len(absent),
        missing_hash=missing_hash(absent),
        missing_logs=len(split.missing_logs),
        human_filter=human_filter,
        traffic=traffic,
        doubts=_doubts(split, trajectories),
        extended_comfort=rules.extended_comfort and any(protocol(name).two_frame for name in protocols),
        cache=cache.fingerprint,
        trajectories=trajectories.fingerprint,
        agent=None if agent is None else agent[0],
        checkpoint=None if agent is None else agent[1],
        labels=labels,
        length=length,
        navforge=importlib.metadata.version("navforge"),
    )
    return ScoreTable(frame, meta, metrics)


def _require_covered(
    trajectories: Trajectories, split: Split, log_of: Mapping[str, str], *, allow_missing: bool
) -> None:
    """Raise DataError for a trajectory of no scene of the split and, unless `allow_missing`, a scene without one."""
    strangers = [token for token in trajectories.tokens if token not in log_of]
    if strangers:
        raise DataError(
            f"{len(strangers)} of {len(trajectories.tokens)} tokens are not scenes of split {split.name}: "
            f"{listing(strangers)}"
        )
    planned = set(trajectories.tokens)
    unplanned = [token for token in split.tokens if token not in planned]
    if unplanned and not allow_missing:
        raise DataError(
            f"no trajectory for {len(unplanned)} of {len(split)} scenes of split {split.name}: {listing(unplanned)}; "
            "add them, or score the rest with allow_missing=true (every result then says what is missing)"
        )


def _score_trajectories(
    trajectories: Trajectories, logs: dict[str, str], cache: MetricCache, rules: Rules, workers: int
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Score every trajectory against the PDM-Closed reference of its scene.

    Args:
        trajectories: what to score.
        logs: log name of every token.
        cache: metric cache that holds the scenes.
        rules: protocols, human filter, extended comfort, whether metrics are computed.
        workers: processes; 0 means one per CPU.

    Returns:
        Rows with the columns of `tables.schema(rules.protocols)`, sorted by `tables.ORDER` whatever log ended first,
        and those of the metrics.

    Raises:
        DataError: scenes that are not in the cache.
        ScenesFailedError: some scenes failed; the exception lists them.
    """
    check()
    check_cached(trajectories.tokens, cache)
    items = _items(trajectories, logs, cache.folder, rules)
    frames: list[pl.DataFrame] = []
    metrics: list[pl.DataFrame] = []
    failures: list[Failure] = []
    for outcome in parallel.run(_score_log, items, workers=workers, label="scoring"):
        if outcome.result is None:
            error, trace = str(outcome.error), str(outcome.traceback)
            failures += [Failure(token, outcome.item.log_name, error, trace) for token in outcome.item.tokens]
        else:
            frames.append(outcome.result.frame)
            metrics += [] if outcome.result.metrics is None else [outcome.result.metrics]
            failures += outcome.result.failures
    if failures:
        raise ScenesFailedError("scoring", failures, len(trajectories.tokens))
    return pl.concat(frames).sort(ORDER), pl.concat(metrics).sort("log_name", "token", "index") if metrics else None


def _score_log(item: _LogItem) -> _LogScores:
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
    frames, metrics = [], []
    for i, scene in enumerate(scenes):
        try:
            poses = item.poses[rows_of[scene.token]]
            plans = prepare_plans(poses, item.interval_s)
            simulate = item.rules.extended_comfort or item.rules.measure
            states = drive(scene.ego_state, scene.time_us, plans) if simulate else None
            scores = score_plans(
                scene,
                plans,
                item.interval_s,
                item.rules.protocols,
                item.rules.human_filter,
                item.rules.traffic,
                states=states,
            )
            extended = None
            if item.rules.extended_comfort and states is not None and last is not None and last[0] == before[i]:
                gap_s = (scene.time_us - scenes[last[0]].time_us) * 1e-6
                extended = two_frame_extended_comfort(states, last[1], gap_s)
            frames += [_rows(scene, name, of_protocol, extended, item.rules) for name, of_protocol in scores.items()]
            if item.rules.measure and states is not None:
                values = measure_plans(scene, poses, item.interval_s, states, item.rules.traffic)
                metrics.append({"token": scene.token, **{name: value.item() for name, value in values.items()}})
            last = (i, states) if states is not None else None
        except Exception as error:  # the scene boundary: recorded with its token, refused by the caller
            cause = f"{type(error).__name__}: {error}"
            failures.append(Failure(scene.token, item.log_name, cause, traceback.format_exc()))
    columns = schema(item.rules.protocols)
    return _LogScores(
        frame=pl.concat(frames) if frames else pl.DataFrame(schema=columns),
        metrics=_metrics(metrics, item.log_name) if metrics else None,
        failures=tuple(failures),
    )


def _metrics(rows: list[dict[str, Any]], log_name: str) -> pl.DataFrame:
    """Metrics of the scenes of one log, one plan each; null where one does not apply."""
    index = pl.lit(0, pl.Int32).alias("index")
    values = pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)
    return values.select("token", index, pl.lit(log_name).alias("log_name"), pl.exclude("token"))


def _rows(
    scene: CachedScene, name: str, scores: Scores[NDArray[Any]], extended: NDArray[np.float64] | None, rules: Rules
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


def _items(trajectories: Trajectories, logs: dict[str, str], cache: Path, rules: Rules) -> list[_LogItem]:
    rows: dict[str, list[int]] = {}
    for row, token in enumerate(trajectories.tokens):
        rows.setdefault(logs[token], []).append(row)
    return [
        _LogItem(
            cache=cache,
            log_name=log,
            tokens=tuple(trajectories.tokens[row] for row in rows[log]),
            poses=trajectories.poses[rows[log]],
            interval_s=trajectories.interval_s,
            rules=rules,
        )
        for log in sorted(rows)
    ]


def _doubts(split: Split, trajectories: Trajectories) -> dict[str, int]:
    """Scored scenes by what is implausible about their frames."""
    scored = set(trajectories.tokens)
    counts = {doubt.value: len(scored & texts.keys()) for doubt, texts in split.doubts.items()}
    return {doubt: count for doubt, count in counts.items() if count}

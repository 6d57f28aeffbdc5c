"""Trajectories of a split in, a checked score table out: what `navforge score` calls."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from navforge.core.errors import ConfigError, DataError
from navforge.data.splits import Split
from navforge.evaluation.pool import Rules, check_cached, score_trajectories
from navforge.evaluation.tables import ScoreTable, TableMeta, missing_hash
from navforge.evaluation.trajectories import Trajectories, listing
from navforge.metric_cache.store import MetricCache
from navforge.scoring.protocols import PROTOCOLS, protocol
from navforge.scoring.traffic import LOG_REPLAY, REACTIVE, check_traffic

SWITCH = ("auto", "on", "off")
_SWITCHES = {"auto": None, "on": True, "off": False}


def parse_protocols(text: str) -> tuple[str, ...]:
    """`epdms_v2`, `pdms_v1,epdms_v2` or `[pdms_v1,epdms_v2]` as checked names.

    Raises:
        ConfigError: an unknown or repeated name, or none.
    """
    names = tuple(name.strip() for name in text.strip().strip("[]()").split(",") if name.strip())
    known = [one.name for one in PROTOCOLS]
    if not names or len(set(names)) != len(names) or not set(names) <= set(known):
        raise ConfigError(f"protocol: expected one or several of {', '.join(known)}, each once, got {text!r}")
    return names


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


def score_split(
    trajectories: Trajectories,
    split: Split,
    cache: MetricCache,
    protocols: tuple[str, ...],
    *,
    human_filter: str = "auto",
    extended_comfort: str = "auto",
    traffic: str = LOG_REPLAY,
    agent: tuple[str, str | None] | None = None,
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
    paired = _SWITCHES[extended_comfort]
    rules = Rules(
        protocols=protocols,
        human_filter=_SWITCHES[human_filter],
        extended_comfort=trajectories.per_scene == 1 if paired is None else paired,
        traffic=traffic,
    )
    if allow_missing:
        trajectories = trajectories.only(set(cache.tokens))
    frame = score_trajectories(trajectories, log_of, cache, rules, workers=workers)
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
        navforge=importlib.metadata.version("navforge"),
    )
    return ScoreTable(frame, meta)


def _doubts(split: Split, trajectories: Trajectories) -> dict[str, int]:
    """Scored scenes by what is implausible about their frames."""
    scored = set(trajectories.tokens)
    counts = {doubt.value: len(scored & texts.keys()) for doubt, texts in split.doubts.items()}
    return {doubt: count for doubt, count in counts.items() if count}

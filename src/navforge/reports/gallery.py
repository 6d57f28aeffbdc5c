"""The scenes of a report: choose them from the stored tables, then draw each from logs, maps, cache and plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.splits import Split
from navforge.evaluation.tables import ScoreTable, subscores
from navforge.evaluation.trajectories import Trajectories
from navforge.maps import read_map
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.reports.choose import Choice, choose_scenes, facts_of
from navforge.reports.figures import BEST, CHOSEN, HUMAN
from navforge.reports.page import ScenePicture
from navforge.reports.pictures import Plan, scene_picture
from navforge.scoring.drivers import HUMAN_INTERVAL_S
from navforge.scoring.engine import score_plans
from navforge.scoring.traffic import LOG_REPLAY
from navforge.vocabulary.vocabulary import INTERVAL_S, Vocabulary


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """An agent's stored plans and their scores."""

    label: str
    table: ScoreTable
    trajectories: Trajectories


def gallery(
    planner: Evaluated,
    baseline: ScoreTable,
    split: Split,
    data: DataConfig,
    cache: MetricCache,
    *,
    protocol: str,
    vocabulary: Vocabulary | None = None,
    count: int = 12,
    sensors: bool = True,
) -> tuple[ScenePicture, ...]:
    """Pictures of the scenes that tell most about a planner.

    Args:
        planner: whose plans are shown.
        baseline: scores it is compared with when scenes are chosen.
        split: the scenes; logs are read from `data`.
        data: roots of logs, maps and sensor files.
        cache: metric cache of the split.
        protocol: rules of all scores shown.
        vocabulary: its best-scored entry is drawn too; None draws none.
        count: how many scenes.
        sensors: draw the front camera.

    Raises:
        DataError: a scene lacks a plan, a row or a file.
    """
    mine, theirs = _scores(planner.table, protocol), _scores(baseline, protocol)
    absent = sorted(set(mine) - set(theirs))
    if absent:
        raise DataError(f"the baseline's table lacks {len(absent)} scenes of {planner.label}'s, such as {absent[0]}")
    facts = [
        facts_of(scene, mine[scene.token], theirs[scene.token])
        for log in split.logs
        for scene in cache.load_log(log)
        if scene.token in mine
    ]
    choices = choose_scenes(facts, count)
    logs = {fact.token: fact.log_name for fact in facts}
    pictures: dict[str, ScenePicture] = {}
    for log in dict.fromkeys(logs[choice.token] for choice in choices):
        scenes = {scene.token: scene for scene in read_scenes(split, data, log)}
        for choice in choices:
            if logs[choice.token] == log:
                scene, cached = scenes[choice.token], cache.load(choice.token)
                pictures[choice.token] = scene_picture(
                    choice,
                    scene,
                    cached,
                    _plans(planner, choice, cached, protocol, vocabulary),
                    protocol=protocol,
                    data=data,
                    town=read_map(data.map_root(), scene.map_location),
                    sensors=sensors,
                )
    return tuple(pictures[choice.token] for choice in choices)


def _scores(table: ScoreTable, protocol: str) -> dict[str, float]:
    rows = table.of(protocol)
    return dict(zip(rows["token"].to_list(), rows["score"].to_list(), strict=True))


def _plans(
    planner: Evaluated, choice: Choice, cached: CachedScene, protocol: str, vocabulary: Vocabulary | None
) -> Sequence[Plan]:
    """What is drawn in one scene: the planner's plan, the vocabulary's best entry, the human."""
    if planner.table.meta.traffic != LOG_REPLAY:
        raise DataError(
            f"{planner.label} was scored with traffic={planner.table.meta.traffic}; pictures are of log replay"
        )
    row = planner.table.of(protocol).filter(pl.col("token") == choice.token).row(0, named=True)
    if choice.token not in planner.trajectories.tokens:
        raise DataError(f"scene {choice.token}: {planner.label} has a score but no stored plan")
    poses = planner.trajectories.poses[planner.trajectories.tokens.index(choice.token), 0]
    parts = {name: row[name] for name in subscores(protocol)}
    plans = [Plan(label=planner.label, poses=poses, style=CHOSEN, score=float(row["score"]), subscores=parts)]
    if vocabulary is not None:
        plans.append(best_entry(cached, vocabulary.poses, protocol))
    if cached.human_poses is not None:
        scores = score_plans(cached, cached.human_poses[None], HUMAN_INTERVAL_S, [protocol])[protocol]
        parts = {name: float(value[0]) for name, value in scores.values.items()}
        human = Plan(
            label="human", poses=cached.human_poses, style=HUMAN, score=float(scores.score[0]), subscores=parts
        )
        plans.append(human)
    return plans


def best_entry(cached: CachedScene, poses: NDArray[np.floating], protocol: str) -> Plan:
    """The vocabulary entry with the best score in a scene; among equals the one nearest to the human, then the first.

    Args:
        cached: the scene.
        poses: (N, T, 3) entries, ego frame, 0.1 s apart.
        protocol: rules of the scores.
    """
    entries = np.asarray(poses, dtype=np.float64)
    scores = score_plans(cached, entries, INTERVAL_S, [protocol])[protocol]
    best = np.flatnonzero(scores.score >= scores.score.max() - 1e-9)
    if cached.human_poses is not None:
        away = np.hypot(*(entries[best][:, 4::5, :2] - cached.human_poses[None, :, :2]).transpose(2, 0, 1)).sum(axis=1)
        best = best[np.argsort(away, kind="stable")]
    entry = int(best[0])
    parts = {name: float(value[entry]) for name, value in scores.values.items()}
    label = f"best entry ({entry})"
    return Plan(label=label, poses=entries[entry], style=BEST, score=float(scores.score[entry]), subscores=parts)

"""Small score tables with known contents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from navforge.evaluation.groups import Planner
from navforge.evaluation.tables import ScoreTable, TableMeta, schema, subscores


def small_table(
    protocols: tuple[str, ...] = ("epdms_v2",),
    logs: int = 3,
    scenes_per_log: int = 4,
    score: Callable[[int, int], float] = lambda log, scene: (log + scene) / 10,
    **meta: object,
) -> ScoreTable:
    """A table of `logs` x `scenes_per_log` scenes; `score` maps (log, scene) to the final score."""
    rows = []
    for name in protocols:
        for log, scene in np.ndindex(logs, scenes_per_log):
            row = {
                "token": f"{log:08x}{scene:08x}",
                "index": 0,
                "protocol": name,
                "log_name": f"log{log}",
                "human_filter": name != "pdms_v1",
                **dict.fromkeys(subscores(name), 1.0),
                "progress_m": 20.0,
                "score": score(log, scene),
            }
            if "two_frame_extended_comfort" in row and scene == 0:
                row["two_frame_extended_comfort"] = None
            rows.append(row)
    facts = {
        "protocols": protocols,
        "split": "tiny",
        "split_hash": "0123456789abcdef",
        "split_scenes": logs * scenes_per_log,
        "missing": 0,
        "missing_hash": None,
        "human_filter": "auto",
        "extended_comfort": True,
        "cache": "c" * 16,
        "trajectories": "t" * 16,
        "navforge": "0.1.0",
    }
    return ScoreTable(pl.DataFrame(rows, schema=schema(protocols)), TableMeta(**{**facts, **meta}))  # type: ignore[arg-type]


def noisy_planner(name: str, gain: float, *, seeds: int = 3, logs: int = 20, scenes_per_log: int = 6) -> Planner:
    """A planner with seeds whose scores share how hard a scene is with every other such planner."""
    hard = np.random.default_rng(0).uniform(0.3, 0.6, (logs, scenes_per_log))
    tables = []
    for seed in range(seeds):
        rng = np.random.default_rng([*name.encode(), seed])
        scores = np.clip(hard + gain + rng.normal(scale=0.004) + rng.normal(scale=0.05, size=hard.shape), 0, 1)
        tables.append(
            small_table(
                logs=logs,
                scenes_per_log=scenes_per_log,
                score=lambda log, scene, scores=scores: float(scores[log, scene]),
                checkpoint=f"{name}-{seed}",
                trajectories=f"{name}-{seed}",
                agent=name,
            )
        )
    return Planner(name=name, tables=tuple(tables))

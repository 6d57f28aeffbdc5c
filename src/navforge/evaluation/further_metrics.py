"""Metrics of other packages: measured of the driven plans, reported beside the score, never part of it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from navforge.core.errors import ConfigError
from navforge.core.extensions import Group, name_of, users_traceback
from navforge.core.failures import failure_of
from navforge.evaluation.failures import ScenesFailedError
from navforge.evaluation.plan_metrics import ORACLE_GAP, PLAN_METRICS
from navforge.evaluation.summary import ColumnSummary, summarise_columns
from navforge.evaluation.tables import METRIC_KEYS, schema
from navforge.evaluation.trajectories import Trajectories
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.scoring.protocols import PROTOCOLS
from navforge.simulation.plans import prepare_plans
from navforge.simulation.rollout import drive

_NAME = re.compile(r"[a-z]\w*")


class FurtherMetric(ABC):
    """What `navforge evaluate metrics=[package.module:Class]` reports beside the score; made without arguments."""

    name: str
    """Column of `metrics.parquet`: lower-case letters, digits and _; with its unit, if it has one (`jerk_mps3`)."""

    @abstractmethod
    def measure(self, scene: CachedScene, states: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric of plans of one scene.

        Args:
            scene: ego state, map, traffic and human trajectory.
            states: (N, 41, 11) simulated states of the plans, global frame, 0.1 s apart, the first the current one
                (`geometry.columns.State`).

        Returns:
            (N,) one number per plan; NaN where it does not apply.
        """


GROUP: Group[FurtherMetric] = Group("metric", FurtherMetric, {}, "navforge.metrics")  # type: ignore[type-abstract]


def load_metrics(names: Sequence[str]) -> tuple[FurtherMetric, ...]:
    """Metrics by the names of entry points (group `navforge.metrics`) or `package.module:Class`.

    Raises:
        ConfigError: a class that is not there, cannot be used or made, or whose column has no name of its own.
    """
    metrics: list[FurtherMetric] = []
    taken = {
        *schema(tuple(protocol.name for protocol in PROTOCOLS)),
        *(metric.name for metric in (*PLAN_METRICS, ORACLE_GAP)),
    }
    for name in names:
        cls = GROUP.find(name)
        try:
            metric = cls()
        except Exception as error:  # the boundary to code of others
            trace = users_traceback(error, cls.__module__) or f"{type(error).__name__}: {error}"
            raise ConfigError(f"metric: {name} cannot be made\n{trace}") from error
        column = getattr(metric, "name", None)
        if not isinstance(column, str) or not _NAME.fullmatch(column):
            raise ConfigError(f"metric: {name_of(cls)}.name: expected lower-case letters, digits and _, got {column!r}")
        if column in taken:
            raise ConfigError(f"metric: {name_of(cls)}.name: there is a column {column} already; give another name")
        taken.add(column)
        metrics.append(metric)
    return tuple(metrics)


def measure(
    metrics: Sequence[FurtherMetric], trajectories: Trajectories, logs: dict[str, str], cache: MetricCache
) -> pl.DataFrame:
    """Every metric of every trajectory.

    Args:
        metrics: of `load_metrics`.
        trajectories: as scored.
        logs: log name of every token.
        cache: metric cache that holds the scenes.

    Returns:
        Rows with `token`, `index` (which of the scene's trajectories), `log_name` and a column per metric, null where
        it does not apply; sorted by log, token and index.

    Raises:
        ScenesFailedError: a metric raised, or returned something else than a number per plan.
    """
    rows, failures = [], []
    first_error: Exception | None = None
    for token, poses in zip(trajectories.tokens, trajectories.poses, strict=True):
        scene = cache.load(token)
        states = drive(scene.ego_state, scene.time_us, prepare_plans(poses, trajectories.interval_s))
        try:
            values = {metric.name: _values(metric, scene, states) for metric in metrics}
        except Exception as error:  # the boundary to code of others: recorded with its scene
            failures.append(failure_of(error, logs[token], token))
            first_error = first_error or error
            continue
        count = len(poses)
        index = np.arange(count, dtype=np.int32)
        rows.append(
            pl.DataFrame({"token": [token] * count, "index": index, "log_name": [logs[token]] * count, **values})
        )
    if first_error is not None:
        names = ", ".join(metric.name for metric in metrics)
        trace = users_traceback(first_error, *(type(metric).__module__ for metric in metrics))
        raise ScenesFailedError(f"metrics {names}", failures, len(trajectories.tokens), details=trace)
    return pl.concat(rows).fill_nan(None).sort("log_name", "token", "index")


def summarise(frame: pl.DataFrame) -> list[ColumnSummary]:
    """Mean and intervals of every metric that applies to some scene of rows such as `measure`'s."""
    return summarise_columns(frame, [column for column in frame.columns if column not in METRIC_KEYS])


def _values(metric: FurtherMetric, scene: CachedScene, states: NDArray[np.float64]) -> NDArray[np.float64]:
    returned = metric.measure(scene, states)
    values = np.asarray(returned, dtype=np.float64)
    if values.shape != (len(states),):
        raise ValueError(f"metric {metric.name} returned shape {values.shape}, expected ({len(states)},)")
    if np.isinf(values).any():
        raise ValueError(f"metric {metric.name} returned infinity; NaN says that it does not apply")
    return values

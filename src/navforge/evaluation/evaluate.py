"""An agent on a split: plans once, scores under every protocol; what `navforge evaluate` calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import polars as pl

from navforge.agents.contract import Agent
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.evaluation import further_metrics
from navforge.evaluation.further_metrics import FurtherMetric, measure
from navforge.evaluation.inference import plan_split, scenes_of
from navforge.evaluation.latency import Latency, measure_latency
from navforge.evaluation.oracle_gap import add_oracle_gap, vocabulary_of
from navforge.evaluation.score import score_split
from navforge.evaluation.summary import ColumnSummary, ProtocolSummary, summarise
from navforge.evaluation.tables import METRIC_KEYS, ScoreTable
from navforge.evaluation.trajectories import Trajectories
from navforge.metric_cache.store import MetricCache
from navforge.scoring.traffic import LOG_REPLAY
from navforge.teacher.store import TeacherStore


@dataclass(frozen=True)
class Evaluation:
    """An agent's plans and their scores."""

    table: ScoreTable
    trajectories: Trajectories
    metrics: pl.DataFrame
    """Those of `plan_metrics`, and of other packages where asked for (rows as `ScoreTable.metrics`)."""
    latency: Latency | None = None
    """Of the agent, if it was measured."""

    @cached_property
    def summaries(self) -> dict[str, ProtocolSummary]:
        """Means of the scores by protocol; their bootstraps take seconds on a large split."""
        return summarise(self.table)

    @cached_property
    def metric_summaries(self) -> list[ColumnSummary]:
        """Means of what was measured beside the score."""
        return further_metrics.summarise(self.metrics)


def evaluate_agent(  # noqa: PLR0913
    agent: Agent,
    split: Split,
    data: DataConfig,
    cache: MetricCache,
    protocols: tuple[str, ...],
    *,
    human_filter: str = "auto",
    traffic: str = LOG_REPLAY,
    allow_missing: bool = False,
    metrics: Sequence[FurtherMetric] = (),
    teacher: TeacherStore | None = None,
    latency_repeats: int = 0,
    workers: int = 0,
) -> Evaluation:
    """Plan for every scene of a split once, then score the plans under every protocol.

    Args:
        agent: who plans.
        split: the scenes.
        data: where logs and sensor files are.
        cache: metric cache of the split (`evaluation.score.open_cache`).
        protocols: names of the rules.
        human_filter: auto (each protocol's own rule), on or off.
        traffic: log_replay or reactive.
        allow_missing: leave out scenes the cache lacks; they count as missing in the table.
        metrics: what else is measured of the plans (`further_metrics.load_metrics`).
        teacher: scores of the entries of the agent's vocabulary, for the oracle gap (`oracle_gap.open_teacher`).
        latency_repeats: scenes of which the time of inference is taken first; 0 for none.
        workers: processes that score; 0 means one per CPU.

    Raises:
        ConfigError: `teacher` is given and the agent does not choose from a vocabulary.
        ScenesFailedError: the agent, the scoring or a metric failed on some scenes.
    """
    latency = _latency(agent, split, data, latency_repeats) if latency_repeats else None
    trajectories = plan_split(agent, split, data)
    table = score_split(
        trajectories,
        split,
        cache,
        protocols,
        human_filter=human_filter,
        traffic=traffic,
        agent=(agent.name, agent.fingerprint),
        labels=agent.labels,
        length=agent.length,
        allow_missing=allow_missing,
        workers=workers,
    )
    measured = table.metrics
    assert measured is not None, "an agent makes one plan per scene"
    if metrics:
        logs = {token: log for log, tokens in split.logs.items() for token in tokens}
        further = measure(metrics, trajectories.only(set(table.frame["token"])), logs, cache)
        measured = measured.join(further, on=METRIC_KEYS, how="left", maintain_order="left")
    if teacher is not None:
        measured = add_oracle_gap(measured, trajectories, vocabulary_of(agent), teacher)
    return Evaluation(table, trajectories, measured, latency)


def _latency(agent: Agent, split: Split, data: DataConfig, repeats: int) -> Latency:
    """Of the first scenes of the split."""
    return measure_latency(agent, list(islice(scenes_of(split, data), repeats)), repeats)

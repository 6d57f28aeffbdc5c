"""How much better than the chosen one the best entry of a vocabulary would have scored, scene by scene."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from navforge.agents.contract import Agent
from navforge.core.errors import ConfigError, DataError
from navforge.data.splits import Split
from navforge.evaluation.plan_metrics import ORACLE_GAP
from navforge.evaluation.trajectories import Trajectories
from navforge.teacher.store import SCORE, TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary


def open_teacher(path: Path, agent: Agent, protocols: tuple[str, ...], split: Split) -> TeacherStore:
    """The teacher store of an agent's vocabulary, with scores of a protocol that is evaluated, of every scene.

    Raises:
        ConfigError: the agent has no vocabulary, or the store holds scores of another protocol.
        DataError: the store is of another vocabulary, damaged, or lacks scenes.
    """
    store = TeacherStore.open(path, vocabulary_of(agent))
    if store.protocol not in protocols:
        raise ConfigError(
            f"teacher: {path} holds scores of {store.protocol}, the evaluation is of {', '.join(protocols)}; give the "
            "store of one of them"
        )
    store.require(tokens=split.tokens, columns=(SCORE,), protocol=store.protocol, cache=None)
    return store


def vocabulary_of(agent: Agent) -> Vocabulary:
    """What an agent chooses from; raises ConfigError where there is nothing."""
    if agent.vocabulary is None:
        raise ConfigError(f"teacher: agent {agent.name} does not choose from a vocabulary, so it has no oracle gap")
    return agent.vocabulary


def add_oracle_gap(
    metrics: pl.DataFrame, trajectories: Trajectories, vocabulary: Vocabulary, teacher: TeacherStore
) -> pl.DataFrame:
    """Metrics of plans with a further column, `oracle_gap`.

    Args:
        metrics: one row per scene (`ScoreTable.metrics`).
        trajectories: the plans, one per scene, each an entry of the vocabulary.
        vocabulary: what was chosen from.
        teacher: scores of all its entries in the scenes of `metrics`.

    Raises:
        DataError: a plan is not an entry of the vocabulary, or a scene is not in the store.
    """
    entries = {entry.astype(float).tobytes(): number for number, entry in enumerate(vocabulary.poses)}
    plans = dict(zip(trajectories.tokens, trajectories.poses[:, 0], strict=True))
    gaps = []
    for token in metrics["token"]:
        chosen = entries.get(plans[token].tobytes())
        if chosen is None:
            raise DataError(
                f"the plan of scene {token} is not an entry of the planner's vocabulary {vocabulary.fingerprint}, so "
                "its teacher score is not known"
            )
        scores = teacher.row(token, (SCORE,))[SCORE]
        gaps.append(float(scores.max() - scores[chosen]))
    gap = pl.Series(ORACLE_GAP.name, gaps, pl.Float64)
    return metrics.with_columns(gap)

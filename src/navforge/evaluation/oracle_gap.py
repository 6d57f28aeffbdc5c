"""How much better than the chosen one the best entry of a vocabulary would have scored, scene by scene."""

from __future__ import annotations

import polars as pl

from navforge.core.errors import DataError
from navforge.evaluation.plan_metrics import ORACLE_GAP
from navforge.evaluation.trajectories import Trajectories
from navforge.teacher.store import SCORE, TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary


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

"""The oracle: the best score any entry of a vocabulary reaches in a scene, read from a teacher store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.teacher.store import SCORE, TeacherStore

Float = NDArray[np.float64]

NEAR = 0.01
"""An entry whose score is at most this much below the best is a good one."""
FULL = 0.999
"""Sub-scores from here on lose nothing worth telling."""


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """What choosing perfectly in every scene would score, in [0, 1]."""

    protocol: str
    tokens: tuple[str, ...]
    best: Float
    """(S,) best score of any entry."""
    entry: NDArray[np.int64]
    """(S,) an entry that reaches it, the first among equals."""
    good: NDArray[np.int64]
    """(S,) how many entries come within `NEAR` of it."""
    mean: Float
    """(S,) mean score of all entries: what choosing blindly would score."""

    def share_below(self, score: float) -> float:
        """Share of scenes in which no entry reaches `score`."""
        return float((self.best < score).mean())

    def worst(self, count: int) -> NDArray[np.int64]:
        """Rows of the scenes with the least best scores; among equals those with the fewest good entries."""
        return np.lexsort((np.array(self.tokens), self.good, self.best))[:count]


def losses(store: TeacherStore, oracle: Oracle, rows: Sequence[int]) -> tuple[dict[str, float], ...]:
    """Sub-scores of the best entry that are not full, by column, for some rows of an oracle: why it scores no better.

    Args:
        store: the store the oracle was read from.
        oracle: the oracle.
        rows: which of its scenes.
    """
    parts = tuple(name for name in store.columns if name != SCORE)
    lost = []
    for row in rows:
        values = store.row(oracle.tokens[row], parts)
        own = {name: float(value[oracle.entry[row]]) for name, value in values.items()}
        lost.append({name: value for name, value in own.items() if value < FULL})
    return tuple(lost)


def oracle(store: TeacherStore, tokens: Sequence[str], *, step: Callable[[int], None] = lambda done: None) -> Oracle:
    """Read the scores of scenes and keep the best of each; one row of the store is in memory at a time.

    Args:
        store: teacher store; its scores leave two-frame extended comfort out, as all scores of single plans do.
        tokens: scenes, S >= 1.
        step: told how many are done.

    Raises:
        DataError: a scene is not in the store.
    """
    best, mean = np.empty(len(tokens)), np.empty(len(tokens))
    entry, good = np.empty(len(tokens), np.int64), np.empty(len(tokens), np.int64)
    for place, token in enumerate(tokens):
        scores = store.row(token, (SCORE,))[SCORE].astype(np.float64)
        entry[place] = scores.argmax()
        best[place] = scores[entry[place]]
        good[place] = np.count_nonzero(scores >= best[place] - NEAR)
        mean[place] = scores.mean()
        step(place + 1)
    return Oracle(protocol=store.protocol, tokens=tuple(tokens), best=best, entry=entry, good=good, mean=mean)

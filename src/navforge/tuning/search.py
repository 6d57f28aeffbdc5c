"""Which entry every set of inference weights chooses, exactly, for thousands of sets at once.

The weighted confidence of an entry is w . f: positive weights w (imitation, each multiplicative sub-score, the weighted
sum) times its log confidences f (`hydra_formulas.log_confidences`). Over a box of weights low <= w <= high, entry b
beats entry e everywhere if sum_k min(low_k d_k, high_k d_k) > 0 with d = f_b - f_e: the minimum of a linear function
over a box. Of 8192 entries some tens are unbeaten; every set of weights is tried on those.

Pruning changes no choice: an entry is dropped only if it loses by more than rounding can make up. Among equals the
first entry is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.core.parallel import available_cpus
from navforge.geometry.compiled import kernel

Float = NDArray[np.float64]
Floats32 = NDArray[np.float32]

BLOCK = 512
"""Sets that are tried on an entry at once: their values stay in the first-level cache."""
MARGIN = 1e-10
"""Of the largest value: what an entry must lose by to be dropped; rounding is some 1e-15."""


@dataclass(frozen=True)
class Candidates:
    """Entries of many scenes that some weights of a box may choose, scene after scene."""

    offsets: NDArray[np.int64]
    """(S + 1,) where each scene's candidates begin."""
    entries: NDArray[np.int32]
    """(C,) vocabulary rows, ascending within a scene."""
    confidences: Floats32
    """(C, K) log confidences."""
    scores: Floats32
    """(C,) true scores."""

    def __len__(self) -> int:
        return len(self.offsets) - 1


def unbeaten(confidences: Floats32, low: Float, high: Float) -> NDArray[np.int64]:
    """Entries that no other beats over the whole box; every entry that any weights inside it choose is among them.

    Args:
        confidences: (N, K) log confidences of one scene, finite.
        low: (K,) smallest weights, positive.
        high: (K,) largest.

    Returns:
        (C,) entries, ascending.
    """
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, len(low))
    trials = np.concatenate([np.sqrt(low * high)[None], corners])
    return np.flatnonzero(_unbeaten(confidences, low, high, trials))


def chosen(candidates: Candidates, weights: Float) -> NDArray[np.int64]:
    """(S,) place in `candidates` of the entry that (K,) weights choose in each scene."""
    return _chosen(candidates.offsets, candidates.confidences, weights)


def score_sums(
    candidates: Candidates, weights: Float, folds: NDArray[np.int64], *, threads: int = 0, chunk: int = 256
) -> Float:
    """Sum of the true scores of what each set of weights chooses.

    Args:
        candidates: of S scenes, complete for a box that holds all the weights; at least one of each.
        weights: (M, K), positive.
        folds: (S,) part of the data each scene belongs to, from 0.
        threads: 0: one per CPU.
        chunk: scenes a thread takes at once.

    Returns:
        (parts, M) sums.
    """
    columns = np.ascontiguousarray(weights.T)
    parts = int(folds.max()) + 1
    bounds = [(start, min(start + chunk, len(candidates))) for start in range(0, len(candidates), chunk)]

    def work(bound: tuple[int, int]) -> Float:
        offsets = candidates.offsets[bound[0] : bound[1] + 1]
        return _sums(offsets, candidates.confidences, candidates.scores, folds[bound[0] : bound[1]], parts, columns)

    with ThreadPoolExecutor(threads or available_cpus()) as pool:
        return _added(list(pool.map(work, bounds)))


def _added(parts: Sequence[Float]) -> Float:
    """In a fixed order, so that the sum does not depend on which thread was first."""
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    return total


@kernel(allocates=True, nogil=True)
def _least_lead(confidences, better, worse, low, high):  # pragma: no cover (compiled)
    """Smallest lead of entry `better` over entry `worse` for any weights of the box."""
    lead = 0.0
    for k in range(low.shape[0]):
        d = float(confidences[better, k]) - float(confidences[worse, k])
        lead += low[k] * d if d > 0.0 else high[k] * d
    return lead


@kernel(allocates=True, nogil=True)
def _value(confidences, entry, weights):  # pragma: no cover (compiled)
    value = 0.0
    for k in range(weights.shape[0]):
        value += weights[k] * float(confidences[entry, k])
    return value


@kernel(allocates=True, nogil=True)
def _margin(confidences, first, end, high):  # pragma: no cover (compiled)
    largest = 0.0
    for entry in range(first, end):
        size = 0.0
        for k in range(high.shape[0]):
            size += high[k] * abs(float(confidences[entry, k]))
        largest = max(largest, size)
    return MARGIN * largest


@kernel(allocates=True, nogil=True)
def _unbeaten(confidences, low, high, trials):  # pragma: no cover (compiled)
    """Drop what the winners of a few trial weights beat, then what any other survivor beats."""
    count = confidences.shape[0]
    margin = _margin(confidences, 0, count, high)
    kept = np.ones(count, np.bool_)
    for t in range(trials.shape[0]):
        best, top = -1, -np.inf
        for entry in range(count):
            if kept[entry]:
                value = _value(confidences, entry, trials[t])
                if value > top:
                    best, top = entry, value
        for entry in range(count):
            if kept[entry] and _least_lead(confidences, best, entry, low, high) > margin:
                kept[entry] = False
    left = np.flatnonzero(kept)
    for i in range(left.shape[0]):
        for j in range(left.shape[0]):
            if kept[left[j]] and _least_lead(confidences, left[j], left[i], low, high) > margin:
                kept[left[i]] = False
                break
    return kept


@kernel(allocates=True, nogil=True)
def _chosen(offsets, confidences, weights):  # pragma: no cover (compiled)
    scenes = offsets.shape[0] - 1
    result = np.empty(scenes, np.int64)
    for scene in range(scenes):
        top = -np.inf
        for entry in range(offsets[scene], offsets[scene + 1]):
            value = _value(confidences, entry, weights)
            if value > top:
                result[scene], top = entry, value
    return result


@kernel(allocates=True, nogil=True)
def _sums(offsets, confidences, scores, folds, parts, columns):  # pragma: no cover (compiled)
    """(parts, M) sums over the scenes of `offsets` for the weights `columns` (K, M)."""
    factors, sets = columns.shape
    sums = np.zeros((parts, sets))
    value, top, score = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, sets, BLOCK):
        size = min(BLOCK, sets - start)
        for scene in range(offsets.shape[0] - 1):
            top[:] = -np.inf
            for entry in range(offsets[scene], offsets[scene + 1]):
                value[:] = 0.0
                for k in range(factors):
                    confidence = float(confidences[entry, k])
                    for i in range(size):
                        value[i] += columns[k, start + i] * confidence
                own = float(scores[entry])
                for i in range(size):
                    better = value[i] > top[i]
                    top[i] = value[i] if better else top[i]
                    score[i] = own if better else score[i]
            for i in range(size):
                sums[folds[scene], start + i] += score[i]
    return sums

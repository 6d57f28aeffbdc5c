"""Which entry every set of inference weights chooses, exactly, for thousands of sets at once.

The weighted confidence of an entry is w . f: positive weights w (imitation, each multiplicative sub-score, the weighted
sum) times its log confidences f (`hydra_formulas.log_confidences`). Two facts make the search fast:

- Over a box of weights low <= w <= high, entry b beats entry e everywhere if sum_k min(low_k d_k, high_k d_k) > 0 with
  d = f_b - f_e: the minimum of a linear function over a box. Of 8192 entries few are unbeaten.
- The sets are split into ever smaller boxes (`WeightTree`, once for all scenes). Where one entry beats all others over
  a box, all sets in it choose that entry.

Neither changes a choice: an entry is dropped only if it loses by more than rounding can make up. Among equals the first
entry is chosen.

The kernels are compiled from this file alone, so numba's own cache notices when they change.
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

LEAF = 8
"""Sets at the bottom of the tree, which are tried one by one."""
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


@dataclass(frozen=True)
class WeightTree:
    """Sets of weights in an order in which every node is a range of them."""

    order: NDArray[np.int64]
    """(M,) set at each place."""
    weights: Float
    """(M, K) in that order, as given."""
    spans: NDArray[np.int64]
    """(nodes, 2) first place and end."""
    children: NDArray[np.int64]
    """(nodes, 2) nodes, -1 for none."""
    low: Float
    """(nodes, K) smallest weight in each node, after scaling each set to sum 1 (which changes no choice)."""
    high: Float
    """(nodes, K) largest."""
    middle: Float
    """(nodes, K) mean."""

    @staticmethod
    def of(weights: Float) -> WeightTree:
        """Split (M, K) positive weights at the median of their widest direction until `LEAF` are left."""
        scaled = weights / weights.sum(axis=1, keepdims=True)
        order = np.arange(len(weights))
        spans: list[tuple[int, int]] = []
        children: list[list[int]] = []
        boxes = []
        todo: list[tuple[int, int, int]] = [(0, len(weights), -1)]
        while todo:
            start, end, parent = todo.pop()
            node = len(spans)
            if parent >= 0:
                children[parent][0 if children[parent][0] < 0 else 1] = node
            inside = scaled[order[start:end]]
            low, high = inside.min(axis=0), inside.max(axis=0)
            spans.append((start, end))
            children.append([-1, -1])
            boxes.append((low, high, inside.mean(axis=0)))
            if end - start > LEAF:
                axis = int(np.argmax(high / low))
                half = (end - start) // 2
                order[start:end] = order[start:end][np.argpartition(inside[:, axis], half)]
                todo += [(start, start + half, node), (start + half, end, node)]
        lows, highs, middles = (np.array(part) for part in zip(*boxes, strict=True))
        return WeightTree(order, weights[order], np.array(spans), np.array(children), lows, highs, middles)


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
        candidates: of S scenes, complete for a box that holds all the weights.
        weights: (M, K), positive.
        folds: (S,) part of the data each scene belongs to, from 0.
        threads: 0: one per CPU.
        chunk: scenes a thread takes at once.

    Returns:
        (parts, M) sums.
    """
    tree = WeightTree.of(weights)
    parts = int(folds.max()) + 1
    bounds = [(start, min(start + chunk, len(candidates))) for start in range(0, len(candidates), chunk)]

    def work(bound: tuple[int, int]) -> Float:
        return _sums(
            candidates.offsets[bound[0] : bound[1] + 1],
            candidates.confidences,
            candidates.scores,
            folds[bound[0] : bound[1]],
            parts,
            (tree.weights, tree.spans, tree.children, tree.low, tree.high, tree.middle),
        )

    with ThreadPoolExecutor(threads or available_cpus()) as pool:
        total = _added(list(pool.map(work, bounds)))
    sums = np.empty_like(total)
    sums[:, tree.order] = total
    return sums


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
def _best(confidences, inside, count, weights):  # pragma: no cover (compiled)
    """The candidate of highest value, the first among equals; `inside` is ascending."""
    best, top = inside[0], -np.inf
    for i in range(count):
        value = _value(confidences, inside[i], weights)
        if value > top:
            best, top = inside[i], value
    return best


@kernel(allocates=True, nogil=True)
def _chosen(offsets, confidences, weights):  # pragma: no cover (compiled)
    scenes = offsets.shape[0] - 1
    result = np.empty(scenes, np.int64)
    for scene in range(scenes):
        inside = np.arange(offsets[scene], offsets[scene + 1])
        result[scene] = _best(confidences, inside, inside.shape[0], weights)
    return result


@kernel(allocates=True, nogil=True)
def _sums(offsets, confidences, scores, folds, parts, tree):  # pragma: no cover (compiled)
    """(parts, M) sums over the scenes of `offsets`, sets in the tree's order."""
    weights, spans, children, low, high, middle = tree
    sets = weights.shape[0]
    steps = np.zeros((parts, sets + 1))  # what a node's sets share is added at its first place and taken off at its end
    widest = 0
    for scene in range(offsets.shape[0] - 1):
        widest = max(widest, offsets[scene + 1] - offsets[scene])
    inside = np.empty((128, widest), np.int64)  # candidates along the path from the root; a tree is far less deep
    counts = np.empty(128, np.int64)
    stack = np.empty((128, 2), np.int64)
    for scene in range(offsets.shape[0] - 1):
        first, end = offsets[scene], offsets[scene + 1]
        margin = _margin(confidences, first, end, high[0])
        counts[0] = end - first
        for i in range(counts[0]):
            inside[0, i] = first + i
        held = 1
        stack[0, 0], stack[0, 1] = 0, 0
        fold = folds[scene]
        while held > 0:
            held -= 1
            node, depth = stack[held, 0], stack[held, 1]
            best = _best(confidences, inside[depth], counts[depth], middle[node])
            left = 0
            for i in range(counts[depth]):
                entry = inside[depth, i]
                if entry == best or _least_lead(confidences, best, entry, low[node], high[node]) <= margin:
                    inside[depth + 1, left] = entry
                    left += 1
            start, stop = spans[node, 0], spans[node, 1]
            if left == 1:
                steps[fold, start] += scores[best]
                steps[fold, stop] -= scores[best]
            elif children[node, 0] < 0:
                for place in range(start, stop):
                    entry = _best(confidences, inside[depth + 1], left, weights[place])
                    steps[fold, place] += scores[entry]
                    steps[fold, place + 1] -= scores[entry]
            else:
                counts[depth + 1] = left
                stack[held, 0], stack[held, 1] = children[node, 0], depth + 1
                stack[held + 1, 0], stack[held + 1, 1] = children[node, 1], depth + 1
                held += 2
    sums = np.empty((parts, sets))
    for part in range(parts):
        running = 0.0
        for place in range(sets):
            running += steps[part, place]
            sums[part, place] = running
    return sums

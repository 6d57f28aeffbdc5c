"""k-means over hundreds of thousands of points and thousands of centres: exact, bounded in memory, the same everywhere.

Points and centres are rounded to a grid of whole numbers so small that every product and sum of a squared distance is a
whole number below 2^53, which float64 holds without error. No result then depends on the order of sums: not on the
number of threads, the blocks, the BLAS library or the processor.

Points lie in blocks of neighbours. With p a block's middle, r the farthest of its points from p and u the farthest of
its points from the centre it had, only centres within r + u of p can be nearest to one of them (triangle inequality);
the others are not looked at. On driven trajectories 1 to 5 % of the centres are left.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from navforge.core.errors import DataError
from navforge.core.parallel import available_cpus

Float = NDArray[np.float64]
Grid = NDArray[np.float32]
"""(n, d) whole numbers of at most 2^22, points of a grid."""

PASSES = 40
"""Most rounds of assignment."""
LEAST_GAIN = 1e-4
"""Rounds end when the sum of squared distances falls by less than this share."""
BLOCK = 512
"""Most points of a block."""
GROUPS = 2048
"""Most neighbourhoods that blocks are cut from."""
BATCH = 32
"""Blocks a thread works on at once."""
WHOLE_BITS = 53
ABOVE_ROUNDING = 1.0 + 1e-9
"""Lengths are rounded roots of exact squares: a bound on them is this much wider."""

Step = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is at most."""


def silent(label: str, done: int, total: int) -> None:
    """Show nothing."""


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """What k-means found; lengths in the points' own unit."""

    centres: Float
    """(k, d) on the grid: the means of the clusters of the round before the last."""
    labels: NDArray[np.int64]
    """(n,) nearest centre of each point, the first among equals."""
    squares: Float
    """(n,) squared distance to it."""
    inertia: tuple[float, ...]
    """Sum of squared distances after each round of assignment."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """(k,) points of each cluster."""
        return np.bincount(self.labels, minlength=len(self.centres))


def kmeans(
    points: NDArray[np.floating],
    k: int,
    *,
    seed: int = 0,
    passes: int = PASSES,
    workers: int = 0,
    step: Step = silent,
) -> Clusters:
    """Lloyd's rounds from k-means++ seeds (Arthur and Vassilvitskii 2007) drawn among all points.

    A cluster that loses all its points restarts at the point farthest from its centre. Memory: the points once more as
    float32, and some 100 MB.

    Args:
        points: (n, d) finite.
        k: number of clusters.
        seed: of the draws.
        passes: most rounds of assignment.
        workers: threads; 0 one per CPU. The result does not depend on it.
        step: called with the progress.

    Raises:
        DataError: fewer distinct points than k.
    """
    grid, scale = to_grid(points)
    found = distinct(grid, k)
    if found < k:
        raise DataError(f"{len(grid)} points, {found} of them distinct, cannot make {k} clusters")
    generator = np.random.default_rng(seed)
    blocks = Blocks.of(grid, generator)
    del grid
    inertia: list[float] = []
    with _threads(workers) as pool:
        centres = blocks.points[_seeds(blocks, k, generator, step)].astype(np.float64)
        labels = squares = None
        for done in range(1, passes + 1):
            labels, squares = _assign(blocks, centres, labels, pool)
            inertia.append(math.fsum(squares) / scale**2)
            step("rounds", done, passes)
            if done == passes or (done > 1 and inertia[-2] - inertia[-1] < LEAST_GAIN * inertia[-2]):
                break
            centres = _means(blocks.points, labels, squares, centres)
    if labels is None or squares is None:
        raise ValueError(f"passes must be 1 at least, got {passes}")
    back = np.argsort(blocks.order, kind="stable")
    return Clusters(
        centres=centres / scale, labels=labels[back], squares=squares[back] / scale**2, inertia=tuple(inertia)
    )


def to_grid(points: NDArray[np.floating]) -> tuple[Grid, float]:
    """Points as whole numbers, and the factor (a power of two) they were multiplied with.

    A squared distance |x|^2 - 2 x.c + |c|^2 of d coordinates of at most 2^b is a sum of terms that never exceeds
    4 d 2^2b, which has to stay within 2^53.

    Args:
        points: (n, d) finite.
    """
    bits = min(22, (WHOLE_BITS - math.ceil(math.log2(4 * points.shape[1]))) // 2)
    largest = max(float(points.max()), -float(points.min()))
    scale = 2.0 ** (bits - math.ceil(math.log2(largest))) if largest > 0 else 1.0
    grid = points.astype(np.float32)
    grid *= np.float32(scale)
    np.rint(grid, out=grid)
    grid += 0.0  # -0 is 0
    return grid, scale


def distinct(grid: Grid, enough: int) -> int:
    """How many rows differ from each other; counting stops at `enough`."""
    rows_seen: set[bytes] = set()
    for row in grid:
        rows_seen.add(row.tobytes())
        if len(rows_seen) >= enough:
            break
    return len(rows_seen)


@dataclass(frozen=True)
class Blocks:
    """Points sorted into blocks of neighbours. Which blocks decides how fast a search is, never what it finds."""

    points: Grid
    """(n, d) block by block."""
    order: NDArray[np.int64]
    """(n,) where each of them stood before."""
    start: NDArray[np.int64]
    """(b + 1,) first point of each block, and n."""
    middle: Float
    """(b, d) on the grid."""
    radius: Float
    """(b,) distance of the farthest point."""

    @staticmethod
    def of(grid: Grid, generator: np.random.Generator) -> Blocks:
        """Group points by the nearest of some of them, looking at 24 to 47 of the coordinates only."""
        groups = int(np.clip(len(grid) // BLOCK, 1, GROUPS))
        columns = slice(None, None, max(1, grid.shape[1] // 24))
        pivots = grid[np.sort(generator.choice(len(grid), groups, replace=False)), columns].astype(np.float64)
        norms = np.einsum("gd,gd->g", pivots, pivots)
        label = np.empty(len(grid), dtype=np.int64)
        for first in range(0, len(grid), 4096):
            some = grid[first : first + 4096, columns].astype(np.float64)
            label[first : first + 4096] = (norms - 2.0 * (some @ pivots.T)).argmin(axis=1)
        order = np.argsort(label, kind="stable")
        edges = np.searchsorted(label[order], np.arange(groups + 1))
        cuts = [np.arange(first, last, BLOCK) for first, last in itertools.pairwise(edges)]
        start = np.concatenate([*cuts, [len(grid)]])
        points = grid[order]
        middle = np.empty((len(start) - 1, grid.shape[1]))
        radius = np.empty(len(middle))
        for b in range(len(middle)):
            inside = points[start[b] : start[b + 1]].astype(np.float64)
            middle[b] = np.rint(inside.mean(axis=0))
            radius[b] = math.sqrt(float(_squares(inside - middle[b]).max()))
        return Blocks(points, order, start, middle, radius)


def _squares(rows: Float) -> Float:
    return np.einsum("nd,nd->n", rows, rows)


@contextmanager
def _threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that share the blocks among them; within a block BLAS uses one."""
    with threadpool_limits(1), ThreadPoolExecutor(workers or available_cpus()) as pool:
        yield pool


def _seeds(blocks: Blocks, k: int, generator: np.random.Generator, step: Step) -> NDArray[np.int64]:
    """Distinct points (k,), each drawn with a chance in proportion to its squared distance to those drawn before."""
    points, start = blocks.points, blocks.start
    norms = _squares_in_blocks(points)
    middle_norms = _squares(blocks.middle)
    squares = np.full(len(points), np.inf)
    mass = np.zeros(len(blocks.middle), dtype=np.int64)
    reach = np.full(len(blocks.middle), np.inf)
    chosen = np.empty(k, dtype=np.int64)
    for drawn in range(k):
        at = int(generator.integers(len(points))) if drawn == 0 else _draw(squares, mass, start, generator.random())
        chosen[drawn] = at
        seed = points[at].astype(np.float64)
        away = np.sqrt(np.maximum(middle_norms + norms[at] - 2.0 * (blocks.middle @ seed), 0.0))
        for b in np.flatnonzero(away <= reach):
            part = slice(start[b], start[b + 1])
            found = norms[part] + norms[at] - 2.0 * (points[part].astype(np.float64) @ seed)
            np.minimum(squares[part], found, out=squares[part])
            mass[b] = squares[part].astype(np.int64).sum()
            reach[b] = (blocks.radius[b] + math.sqrt(float(squares[part].max()))) * ABOVE_ROUNDING
        if drawn % 64 == 0 or drawn == k - 1:
            step("seeds", drawn + 1, k)
    return chosen


def _draw(squares: Float, mass: NDArray[np.int64], start: NDArray[np.int64], share: float) -> int:
    """The point at which the running sum of `squares` passes `share` of the whole; never one with square 0."""
    sums = np.cumsum(mass.astype(np.float64))
    target = share * sums[-1]
    b = min(int(np.searchsorted(sums, target, side="right")), int(np.flatnonzero(mass)[-1]))
    inside = squares[start[b] : start[b + 1]]
    rest = target - (sums[b - 1] if b else 0.0)
    at = min(int(np.searchsorted(np.cumsum(inside), rest, side="right")), len(inside) - 1)
    return int(start[b]) + (at if inside[at] > 0 else int(inside.argmax()))


def _squares_in_blocks(points: Grid) -> Float:
    return np.concatenate([_squares(points[i : i + 4096].astype(np.float64)) for i in range(0, len(points), 4096)])


def _assign(
    blocks: Blocks, centres: Float, labels: NDArray[np.int64] | None, pool: ThreadPoolExecutor
) -> tuple[NDArray[np.int64], Float]:
    """Nearest centre of every point, in the order of the blocks, and its squared distance (grid units).

    Args:
        blocks: the points.
        centres: (k, d) on the grid.
        labels: (n,) a centre near each point; None: the one nearest to its block's middle.
        pool: threads.
    """
    norms = _squares(centres)
    new = np.empty(len(blocks.points), dtype=np.int64)
    squares = np.empty(len(blocks.points))

    def search(first: int) -> None:
        last = min(first + BATCH, len(blocks.middle))
        middle = blocks.middle[first:last]
        away = np.sqrt(np.maximum(_squares(middle)[:, None] + norms - 2.0 * (middle @ centres.T), 0.0))
        for b in range(first, last):
            part = slice(blocks.start[b], blocks.start[b + 1])
            inside = blocks.points[part].astype(np.float64)
            had = centres[labels[part]] if labels is not None else centres[away[b - first].argmin()]
            limit = blocks.radius[b] + math.sqrt(float(_squares(inside - had).max()))
            left = np.flatnonzero(away[b - first] <= limit * ABOVE_ROUNDING)
            scores = norms[left] - 2.0 * (inside @ centres[left].T)
            best = scores.argmin(axis=1)
            new[part] = left[best]
            squares[part] = scores[np.arange(len(best)), best] + _squares(inside)

    for _ in pool.map(search, range(0, len(blocks.middle), BATCH)):
        pass
    return new, squares


def _means(points: Grid, labels: NDArray[np.int64], squares: Float, centres: Float) -> Float:
    """(k, d) means of the clusters on the grid; an empty cluster takes one of the points farthest from their centre."""
    k = len(centres)
    counts = np.bincount(labels, minlength=k)
    sums = np.stack([np.bincount(labels, points[:, j], minlength=k) for j in range(points.shape[1])], axis=1)
    means = np.rint(sums / np.maximum(counts, 1)[:, None])
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        means[empty] = points[farthest(points, squares, len(empty))]
    return means


def farthest(
    points: NDArray[np.floating], squares: Float, count: int, taken: frozenset[bytes] = frozenset()
) -> NDArray[np.int64]:
    """(count,) points farthest from their centre, the first among equals; no two alike, none of the rows `taken`.

    Raises:
        DataError: there are not so many.
    """
    chosen: list[int] = []
    seen = set(taken)
    for row in np.argsort(-squares, kind="stable"):
        if len(chosen) == count:
            break
        key = points[row].tobytes()
        if key not in seen:
            seen.add(key)
            chosen.append(int(row))
    if len(chosen) < count:
        raise DataError(f"{count} more distinct points wanted, {len(chosen)} left")
    return np.array(chosen, dtype=np.int64)

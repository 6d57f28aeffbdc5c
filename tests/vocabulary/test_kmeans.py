"""Exact k-means: against scikit-learn's assignment, for any number of threads, bounded in memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin_min

from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.vocabulary import kmeans as module
from navforge.vocabulary.kmeans import Blocks, distinct, farthest, kmeans, to_grid


def blobs(n: int, d: int = 12, centres: int = 40, seed: int = 0) -> np.ndarray:
    """Points about some centres, at random sizes, with a share of them on one spot."""
    generator = np.random.default_rng(seed)
    about = generator.uniform(-20, 60, (centres, d))
    rows = about[generator.integers(centres, size=n)] + generator.exponential(1.0, (n, 1)) * generator.normal(
        size=(n, d)
    )
    rows[: n // 10] = 0.0
    return generator.permutation(rows).astype(np.float32)


@pytest.mark.parametrize("k", [2, 37, 600])
def test_labels_and_distances_are_those_of_scikit_learn(k: int) -> None:
    points = blobs(3000)
    found = kmeans(points, k, seed=1, passes=3)
    rounded = to_grid(points)[0] / to_grid(points)[1]
    label, distance = pairwise_distances_argmin_min(rounded.astype(np.float64), found.centres)
    near = np.linalg.norm(rounded - found.centres[found.labels], axis=1)
    assert np.allclose(near**2, found.squares, rtol=1e-12, atol=0)
    assert np.allclose(near, distance, rtol=1e-9, atol=1e-5)
    assert (label == found.labels).mean() > 0.999  # scikit-learn rounds ties
    assert found.inertia[-1] == pytest.approx((near**2).sum(), rel=1e-12)


def test_rounds_lower_the_inertia_to_that_of_full_lloyd() -> None:
    points = blobs(4000)
    found = kmeans(points, 50, seed=0)
    assert all(after <= before * (1 + 1e-7) for before, after in zip(found.inertia, found.inertia[1:], strict=False))
    best = KMeans(50, n_init=1, random_state=0).fit(points.astype(np.float64)).inertia_
    assert found.inertia[-1] < 1.1 * best


def test_centres_are_the_means_of_their_points_once_nothing_moves() -> None:
    points = blobs(2000, centres=5)
    found = kmeans(points, 5, seed=0, passes=100)
    means = np.stack([points[found.labels == k].mean(axis=0, dtype=np.float64) for k in range(5)])
    assert np.abs(means - found.centres).max() < 0.05


def test_number_of_threads_blocks_and_neighbourhoods_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    points = blobs(5000)
    one = kmeans(points, 200, seed=4, workers=1)
    many = kmeans(points, 200, seed=4, workers=5)
    assert np.array_equal(one.centres, many.centres) and np.array_equal(one.labels, many.labels)
    assert one.inertia == many.inertia
    monkeypatch.setattr(module, "BATCH", 3)
    other = kmeans(points, 200, seed=4, workers=2)
    assert np.array_equal(one.centres, other.centres) and np.array_equal(one.squares, other.squares)


SCRIPT = """
import numpy as np
from navforge.core.files import fingerprint
from navforge.vocabulary.kmeans import kmeans
points = np.cumsum(np.random.default_rng(0).normal(size=(6000, 40, 3)), axis=1).reshape(6000, 120)
found = kmeans(points, 100, seed=0, passes=4)
print(fingerprint(found.centres, found.labels, found.squares, list(found.inertia)))
"""


def test_another_blas_kernel_changes_no_bit() -> None:
    """OPENBLAS_CORETYPE picks the kernels of another processor, whose sums run in another order."""
    said = set()
    for core in ("", "Prescott", "Haswell"):
        environment = {**os.environ, "OPENBLAS_CORETYPE": core} if core else dict(os.environ)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment
        )
        said.add(done.stdout.strip())
    assert len(said) == 1


def test_seed_decides() -> None:
    points = blobs(1500)
    first, again, other = (kmeans(points, 30, seed=seed, passes=2) for seed in (1, 1, 2))
    assert fingerprint(first.centres) == fingerprint(again.centres) != fingerprint(other.centres)


def test_pruning_leaves_out_no_centre_that_is_nearest() -> None:
    """With every block as wide as the data, nothing is left out; the result must be the same."""
    points = blobs(3000, seed=3)
    grid, _ = to_grid(points)
    blocks = Blocks.of(grid, np.random.default_rng(0))
    wide = Blocks(blocks.points, blocks.order, blocks.start, blocks.middle, np.full(len(blocks.radius), np.inf))
    centres = grid[np.random.default_rng(1).choice(len(grid), 400, replace=False)].astype(np.float64)
    with module._threads(1) as pool:
        narrow, full = (module._assign(some, centres, None, pool) for some in (blocks, wide))
    assert np.array_equal(narrow[0], full[0]) and np.array_equal(narrow[1], full[1])


def test_grid_is_exact_for_whole_numbers_of_the_largest_size() -> None:
    corner = np.full((2, 120), 100.0, np.float32)
    corner[1] = -100.0
    grid, scale = to_grid(corner)
    assert np.array_equal(grid / scale, corner)
    assert 4 * 120 * float(np.abs(grid).max()) ** 2 <= 2.0**53
    assert np.abs(to_grid(blobs(50))[0] / to_grid(blobs(50))[1] - blobs(50)).max() < 1e-4


def test_as_many_clusters_as_distinct_points() -> None:
    points = np.repeat(blobs(40, centres=40)[:, :5], 6, axis=0)
    different = len(np.unique(points, axis=0))
    found = kmeans(points, different, seed=0)
    assert found.counts.min() > 0 and found.inertia[-1] == 0.0
    with pytest.raises(DataError, match=f"{different} of them distinct, cannot make {different + 1}"):
        kmeans(points, different + 1, seed=0)


def test_an_empty_cluster_restarts_at_the_farthest_point() -> None:
    points = np.array([[0.0], [1.0], [10.0], [30.0]], np.float32)
    labels, squares = np.array([0, 0, 0, 0]), np.array([0.0, 1.0, 100.0, 900.0])
    means = module._means(points, labels, squares, np.zeros((2, 1)))
    assert means.tolist() == [[10.0], [30.0]]


def test_farthest_takes_each_row_once() -> None:
    rows = np.array([[1.0], [5.0], [5.0], [4.0]], np.float32)
    assert farthest(rows, np.array([1.0, 25.0, 25.0, 16.0]), 2).tolist() == [1, 3]
    taken = frozenset([rows[1].tobytes()])
    assert farthest(rows, np.array([1.0, 25.0, 25.0, 16.0]), 1, taken).tolist() == [3]
    with pytest.raises(DataError, match="4 more distinct points wanted, 3 left"):
        farthest(rows, np.ones(4), 4)


def test_distinct_stops_counting_at_enough() -> None:
    grid = np.repeat(np.arange(6, dtype=np.float32), 3)[:, None]
    assert distinct(grid, 100) == 6 and distinct(grid, 4) == 4


def test_memory_does_not_grow_with_points_times_clusters() -> None:
    """The distances of all points to all centres would take 240 MB."""
    generator = np.random.default_rng(0)
    points = np.cumsum(np.tile(generator.normal(size=(30_000, 3)), 6), axis=1).astype(np.float32)
    tracemalloc.start()
    kmeans(points, 1000, seed=0, passes=2, workers=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert points.nbytes < peak < 40e6


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    kmeans(blobs(800), 100, seed=0, passes=3, step=lambda *words: told.append(words))
    assert ("seeds", 100, 100) in told and told[-1] == ("rounds", 3, 3)


def test_no_pass_is_refused() -> None:
    with pytest.raises(ValueError, match="passes"):
        kmeans(blobs(10), 2, passes=0)

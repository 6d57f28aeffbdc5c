"""Vocabularies from driven trajectories: smooth upsampling to 10 Hz, then k-means."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from navforge.core.errors import DataError
from navforge.vocabulary.kmeans import Step, distinct, farthest, kmeans, silent, to_grid
from navforge.vocabulary.vocabulary import INTERVAL_S, STEPS, Vocabulary

Rows = NDArray[np.float32]

LOG_INTERVAL_S = 0.5
EXACT_FROM = 10_000
"""From this many trajectories on, `vocabulary.kmeans`; scikit-learn's below."""


def upsample(poses: NDArray[np.float64], velocity: NDArray[np.float64]) -> NDArray[np.float32]:
    """Logged future poses at 2 Hz as a trajectory of 40 poses at 10 Hz.

    Cubic splines through the current pose (the origin) and the logged ones: x and y start with the logged velocity
    and end without curvature; the heading is unwrapped first. Giving the 10 logged poses (5 s) rather than 8 keeps
    the free end out of the 4 s that are used.

    Args:
        poses: (..., n, 3) with n >= 8, ego frame, 0.5 s apart, the first at 0.5 s.
        velocity: (..., 2) m/s in the ego frame at time 0.

    Returns:
        (..., 40, 3) float32.

    Raises:
        DataError: fewer than 8 poses.
    """
    count = poses.shape[-2]
    if count < 8:
        raise DataError(f"a trajectory of 4 s needs 8 poses at 2 Hz, got {count}")
    knots = LOG_INTERVAL_S * np.arange(count + 1)
    times = INTERVAL_S * np.arange(1, STEPS + 1)
    whole = np.concatenate([np.zeros((*poses.shape[:-2], 1, 3)), poses], axis=-2)
    heading = np.unwrap(whole[..., 2], axis=-1)
    ends: Any = ((1, np.asarray(velocity, dtype=np.float64)), (2, np.zeros(velocity.shape)))
    out = np.empty((*poses.shape[:-2], STEPS, 3), np.float32)
    xy = CubicSpline(knots, np.moveaxis(whole[..., :2], -2, 0), bc_type=ends)(times)
    out[..., :2] = np.moveaxis(xy, 0, -2)
    out[..., 2] = CubicSpline(knots, heading, axis=-1, bc_type="natural")(times)
    return out


def cluster(
    trajectories: NDArray[np.float32],
    size: int,
    *,
    seed: int,
    representative: str = "medoid",
    workers: int = 0,
    step: Step = silent,
) -> Vocabulary:
    """k-means over flattened (x, y, heading), as the field does; entries ordered by distance driven.

    Args:
        trajectories: (M, 40, 3) upsampled human trajectories.
        size: number of entries k.
        seed: of the initialisation.
        representative: `medoid`, the driven trajectory nearest to the cluster centre, so that every entry is one a
            car has driven (a centre of few trajectories may mix two manoeuvres and its heading no longer follows its
            path); `mean`, the centre itself, as the public vocabularies are.
        workers: threads for many trajectories; 0 one per CPU. The result does not depend on it.
        step: called with the progress where there are many trajectories.

    Raises:
        DataError: fewer distinct trajectories than `size`.
    """
    flat = trajectories.reshape(len(trajectories), -1)
    found = distinct(to_grid(flat)[0], size)
    if found < size:
        raise DataError(
            f"{len(flat)} trajectories, {found} of them distinct, cannot make {size} vocabulary entries; "
            f"take a larger split or size={found} at most"
        )
    if len(flat) >= EXACT_FROM:
        clusters = kmeans(flat, size, seed=seed, workers=workers, step=step)
        centres, labels, squares = clusters.centres, clusters.labels, clusters.squares
    else:
        centres, labels, squares = _few(flat, size, seed)
    if representative == "medoid":
        entries = trajectories[medoids(flat, size, labels, squares)]
    else:
        entries = centres.reshape(size, STEPS, 3).astype(np.float32)
    length = np.linalg.norm(np.diff(entries[..., :2], axis=1), axis=-1).sum(axis=1)
    return Vocabulary(np.ascontiguousarray(entries[np.argsort(length, kind="stable")], dtype=np.float32))


def _few(flat: Rows, size: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Centres, labels and squared distances by scikit-learn, whose seeds are the better ones while they cost little."""
    method: Any = KMeans(size, n_init="auto", random_state=seed)  # the annotations in its sources take n_init for a str
    # One thread: the order of floating-point sums must not depend on the machine.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        distances = method.fit_transform(flat.astype(np.float64))
    return method.cluster_centers_, distances.argmin(axis=1), distances.min(axis=1) ** 2


def medoids(rows: Rows, size: int, labels: NDArray[np.int64], squares: NDArray[np.float64]) -> NDArray[np.int64]:
    """(size,) the member nearest to each centre, the first among equals.

    A cluster without members takes one of the rows farthest from their centres that is not yet taken.

    Args:
        rows: (M, d) what was clustered.
        size: number of clusters.
        labels: (M,) cluster of each row.
        squares: (M,) squared distance to its centre.
    """
    order = np.lexsort((squares, labels))  # stable: equal rows stay in their order
    members, first = np.unique(labels[order], return_index=True)
    chosen = np.full(size, -1)
    chosen[members] = order[first]
    empty = np.flatnonzero(chosen < 0)
    if len(empty):
        taken = frozenset(rows[row].tobytes() for row in chosen[members])
        chosen[empty] = farthest(rows, squares, len(empty), taken)
    return chosen

"""Vocabularies from driven trajectories: smooth upsampling to 10 Hz, then k-means."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from navforge.core.errors import DataError
from navforge.vocabulary.vocabulary import INTERVAL_S, STEPS, Vocabulary

LOG_INTERVAL_S = 0.5
MINI_BATCH_FROM = 50_000
"""From this many trajectories on, k-means works on mini-batches."""


def upsample(poses: NDArray[np.float64], velocity: NDArray[np.float64]) -> NDArray[np.float32]:
    """Logged future poses at 2 Hz as a trajectory of 40 poses at 10 Hz.

    Cubic splines through the current pose (the origin) and the logged ones: x and y start with the logged velocity
    and end without curvature; the heading is unwrapped first. Giving the 10 logged poses (5 s) rather than 8 keeps
    the free end out of the 4 s that are used.

    Args:
        poses: (n, 3) with n >= 8, ego frame, 0.5 s apart, the first at 0.5 s.
        velocity: (2,) m/s in the ego frame at time 0.

    Returns:
        (40, 3) float32.

    Raises:
        DataError: fewer than 8 poses.
    """
    if len(poses) < 8:
        raise DataError(f"a trajectory of 4 s needs 8 poses at 2 Hz, got {len(poses)}")
    knots = LOG_INTERVAL_S * np.arange(len(poses) + 1)
    times = INTERVAL_S * np.arange(1, STEPS + 1)
    xy = np.vstack([np.zeros(2), poses[:, :2]])
    heading = np.unwrap(np.concatenate([[0.0], poses[:, 2]]))
    out = np.empty((STEPS, 3))
    ends: Any = ((1, np.asarray(velocity, dtype=np.float64)), (2, np.zeros(2)))
    out[:, :2] = CubicSpline(knots, xy, bc_type=ends)(times)
    out[:, 2] = CubicSpline(knots, heading, bc_type="natural")(times)
    return out.astype(np.float32)


def cluster(trajectories: NDArray[np.float32], size: int, *, seed: int, representative: str = "medoid") -> Vocabulary:
    """k-means over flattened (x, y, heading), as the field does; entries ordered by distance driven.

    Args:
        trajectories: (M, 40, 3) upsampled human trajectories.
        size: number of entries k.
        seed: of the initialisation.
        representative: `medoid`, the driven trajectory nearest to the cluster centre, so that every entry is one a
            car has driven (a centre of few trajectories may mix two manoeuvres and its heading no longer follows its
            path); `mean`, the centre itself, as the public vocabularies are.

    Raises:
        DataError: fewer distinct trajectories than `size`.
    """
    flat = trajectories.reshape(len(trajectories), -1).astype(np.float64)
    distinct = len(np.unique(flat, axis=0))
    if distinct < size:
        raise DataError(
            f"{len(flat)} trajectories, {distinct} of them distinct, cannot make {size} vocabulary entries; "
            f"take a larger split or size={distinct} at most"
        )
    method: Any  # the annotations in scikit-learn's sources take n_init for a str
    if len(flat) < MINI_BATCH_FROM:
        method = KMeans(size, n_init="auto", random_state=seed)
    else:
        method = MiniBatchKMeans(size, n_init="auto", random_state=seed, batch_size=max(4096, 2 * size))
    # One thread: the order of floating-point sums must not depend on the machine.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        distances = method.fit_transform(flat)
    if representative == "medoid":
        entries = trajectories[_medoids(distances)]
    else:
        entries = method.cluster_centers_.reshape(size, STEPS, 3).astype(np.float32)
    length = np.linalg.norm(np.diff(entries[..., :2], axis=1), axis=-1).sum(axis=1)
    return Vocabulary(np.ascontiguousarray(entries[np.argsort(length, kind="stable")], dtype=np.float32))


def _medoids(distances: NDArray[np.float64]) -> NDArray[np.int64]:
    """(k,) the member nearest to each centre; mini-batches may leave a cluster empty: it takes the nearest unused."""
    label = distances.argmin(axis=1)
    taken = np.zeros(len(distances), dtype=bool)
    chosen = np.full(distances.shape[1], -1)
    for centre in np.unique(label):
        members = np.flatnonzero(label == centre)
        chosen[centre] = members[distances[members, centre].argmin()]
        taken[chosen[centre]] = True
    for centre in np.flatnonzero(chosen < 0):
        chosen[centre] = np.where(taken, np.inf, distances[:, centre]).argmin()
        taken[chosen[centre]] = True
    return chosen

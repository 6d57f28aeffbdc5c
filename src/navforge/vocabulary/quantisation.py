"""How near a vocabulary comes to human trajectories: the entry with the least displacement error, and that error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import Pose
from navforge.geometry.se2 import wrap_angle

Float = NDArray[np.float64]

_SCENES = 64
"""Trajectories looked at together: times the entries, this bounds the memory."""
_SURE = 1.0 + 1e-9
"""Bounds are rounded: they are this much wider."""


@dataclass(frozen=True, kw_only=True)
class Quantisation:
    """The nearest entry of each trajectory, and how far it is."""

    entry: NDArray[np.int64]
    """(S,) with the least average displacement error, the first among equals."""
    ade: Float
    """(S,) m mean distance over the 8 poses of a plan (0.5 s .. 4 s)."""
    fde: Float
    """(S,) m distance of that entry's last pose."""
    heading: Float
    """(S,) rad mean difference of that entry's headings."""


def quantise(trajectories: NDArray[np.floating], entries: NDArray[np.floating]) -> Quantisation:
    """Find the nearest entry of each trajectory.

    The mean of distances is at least the distance of the means (triangle inequality), so only entries whose mean
    position is near enough are compared pose by pose; the result is that of comparing all.

    Args:
        trajectories: (S, T, 3) poses at the times of the entries' poses.
        entries: (N, T, 3), such as `Vocabulary.plans`.
    """
    count = len(trajectories)
    entry, ade = np.empty(count, np.int64), np.empty(count)
    places = entries[..., : Pose.HEADING].astype(np.float64)
    middles = places.mean(axis=1)
    for first in range(0, count, _SCENES):
        some = trajectories[first : first + _SCENES, :, : Pose.HEADING].astype(np.float64)
        bound = _distance(some.mean(axis=1)[:, None] - middles)
        guess = bound.argmin(axis=1)
        enough = _distance(some - places[guess]).mean(axis=1)
        row, candidate = np.nonzero(bound <= (enough * _SURE + 1e-12)[:, None])
        error = _distance(some[row] - places[candidate]).mean(axis=1)
        order = np.lexsort((candidate, error, row))
        _, best = np.unique(row[order], return_index=True)
        entry[first : first + _SCENES] = candidate[order[best]]
        ade[first : first + _SCENES] = error[order[best]]
    taken = entries[entry].astype(np.float64)
    off = wrap_angle(trajectories[..., Pose.HEADING] - taken[..., Pose.HEADING])
    return Quantisation(
        entry=entry,
        ade=ade,
        fde=_distance(trajectories[:, -1, : Pose.HEADING] - taken[:, -1, : Pose.HEADING]),
        heading=np.abs(off).mean(axis=1),
    )


def _distance(offset: NDArray[np.floating]) -> Float:
    return np.hypot(offset[..., 0], offset[..., 1]).astype(np.float64)

"""`search.score_sums` with torch, for GPUs: no tree, every set of weights on every candidate, in float64."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from navforge.tuning.search import Candidates

CELLS = 100_000_000
"""Values held at once: 0.8 GB."""


def score_sums(
    candidates: Candidates, weights: NDArray[np.float64], folds: NDArray[np.int64], *, device: str
) -> NDArray[np.float64]:
    """See `search.score_sums`. Among candidates whose values are equal to the last bit any may be chosen.

    Scenes are taken in order of their number of candidates, so that little is padded.
    """
    sizes = np.diff(candidates.offsets)
    order = np.argsort(sizes, kind="stable")
    tried = torch.from_numpy(weights).to(device)
    sums = torch.zeros(int(folds.max()) + 1, len(weights), dtype=torch.float64, device=device)
    start = 0
    while start < len(order):
        most = max(1, CELLS // (len(weights) * int(sizes[order[start]])))
        scenes = order[start : start + most]
        while len(scenes) > 1 and len(scenes) * int(sizes[scenes[-1]]) * len(weights) > CELLS:
            scenes = scenes[: (len(scenes) + 1) // 2]
        start += len(scenes)
        confidences, scores = (torch.from_numpy(part).to(device) for part in _padded(candidates, scenes))
        values = confidences @ tried.T  # (B, C, M)
        found = scores.gather(1, values.argmax(dim=1))
        sums.index_add_(0, torch.from_numpy(folds[scenes]).to(device), found)
    return sums.cpu().numpy()


def _padded(candidates: Candidates, scenes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(B, C, K) confidences and (B, C) scores; a scene's places beyond its candidates repeat its first, after it."""
    first, size = candidates.offsets[scenes], np.diff(candidates.offsets)[scenes]
    place = np.arange(size.max())
    rows = first[:, None] + np.where(place < size[:, None], place, 0)
    return candidates.confidences[rows].astype(np.float64), candidates.scores[rows].astype(np.float64)

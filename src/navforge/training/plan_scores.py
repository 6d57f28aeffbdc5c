"""Scores of a planner's plans in validation, for heads that have no teacher: by the engine that evaluates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from navforge.metric_cache.store import MetricCache
from navforge.models.contract import PlannerOutput
from navforge.scoring.batch.scenes import SceneBatch, prepare_batch
from navforge.scoring.library import score

HELD_BYTES = 1 << 29
"""Prepared scenes up to which they are held; others are prepared again in every epoch."""


class PlanScorer:
    """Scores batches of plans on a metric cache, as `navforge evaluate` does but without extended comfort."""

    def __init__(self, cache: MetricCache, protocol: str) -> None:
        self.cache = cache
        self.protocol = protocol
        self._held: dict[tuple[str, ...], SceneBatch] = {}
        self._bytes = 0

    def mean(self, tokens: Sequence[str], plans: PlannerOutput) -> Tensor:
        """Mean score of the plans of B scenes, a scalar on the host.

        Raises:
            DataError: a plan is not finite, or so far off that its simulation overflows; names the scene.
        """
        poses = plans.trajectories[:, None].double().cpu().numpy()
        scores = score(self._prepared(tuple(tokens)), poses, self.protocol, interval_s=plans.interval_s)
        return torch.tensor(scores.score.mean(), dtype=torch.float32)

    def _prepared(self, tokens: tuple[str, ...]) -> SceneBatch:
        batch = self._held.get(tokens)
        if batch is None:
            batch = prepare_batch([self.cache.load(token) for token in tokens], self.protocol, raster=False)
            if self._bytes + batch.memory.nbytes <= HELD_BYTES:
                self._held[tokens] = batch
                self._bytes += batch.memory.nbytes
        return batch

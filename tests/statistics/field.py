"""Made-up scores with a known truth and the spreads of the field: scenes within logs, crossed with seeds.

A scene scores 0 with a probability that depends on its log, on the planner in that log and on the seed, and else 84 to
100 points, as a driving score does: most scenes near the top, a mass at 0. A scene that is hard is hard for every
planner and every seed. Means over seeds and logs are known exactly, because every random factor of the probability
has mean 1 or keeps its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from navforge.statistics.contrasts import Errors, errors

FAILING = 0.15
"""Mean share of scenes that score 0."""
PASSED = (84.0, 100.0)
POINTS = FAILING * sum(PASSED) / 2
"""Points lost by failing: the unit of `gain`."""
LOG_STRENGTH, PLANNER_STRENGTH = 35.0, 320.0
"""Of the beta distributions of a log's probability and, given it, of a planner's in that log: sd 0.06 and 0.02."""
SHARED, PLANNER, SEED = np.sqrt([0.9, 0.07, 0.03]).astype(np.float32)
"""What a scene's luck is made of: the scene, what a planner does of it, what a seed does of it."""
LOG_SIZES = (10, 20, 30)
_BLOCK = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Field:
    """Planners with seeds on a split."""

    logs: int
    seeds: tuple[int, ...]
    """Of each planner."""
    seed_sds: tuple[float, ...]
    """Standard deviation over seeds of each planner's mean, in points."""
    gains: tuple[float, ...]
    """Points by which each planner's true mean lies above that of gain 0."""
    log_sizes: tuple[int, ...] = LOG_SIZES
    """Scenes of logs, in turns."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(log,) scenes of each log."""
        return np.resize(self.log_sizes, self.logs)

    def draw(self, rng: np.random.Generator, count: int) -> list[NDArray[np.float64]]:
        """Per planner (count, seed, log) sums of scores in points."""
        block = max(1, _BLOCK // int(self.sizes.sum()) // max(self.seeds))
        parts = [self._draw(rng, min(block, count - start)) for start in range(0, count, block)]
        return [np.concatenate(sums) for sums in zip(*parts, strict=True)]

    def _draw(self, rng: np.random.Generator, count: int) -> list[NDArray[np.float64]]:
        sizes = self.sizes
        scenes, starts = int(sizes.sum()), np.concatenate([[0], np.cumsum(sizes)[:-1]])
        log_failing = rng.beta(FAILING * LOG_STRENGTH, (1 - FAILING) * LOG_STRENGTH, (count, self.logs))
        luck = SHARED * rng.standard_normal((count, 1, scenes), np.float32)
        passed = PASSED[0] + (PASSED[1] - PASSED[0]) * rng.random((count, 1, scenes), np.float32)
        sums = []
        for seeds, sd, gain in zip(self.seeds, self.seed_sds, self.gains, strict=True):
            failing = rng.beta(log_failing * PLANNER_STRENGTH, (1 - log_failing) * PLANNER_STRENGTH)
            spread = sd / POINTS
            factor = np.exp(spread * rng.standard_normal((count, seeds, 1)) - spread**2 / 2)
            threshold = ndtri(np.minimum(failing[:, None] * factor * (1 - gain / POINTS), 1.0)).astype(np.float32)
            own = luck + PLANNER * rng.standard_normal((count, 1, scenes), np.float32)
            each = own + SEED * rng.standard_normal((count, seeds, scenes), np.float32)
            scores = passed * (each >= np.repeat(threshold, sizes, axis=-1))
            sums.append(np.add.reduceat(scores, starts, axis=-1).astype(np.float64))
        return sums

    def differences(self, sums: Sequence[NDArray[np.float64]], first: int = 0, second: int = 1) -> Errors:
        """First - second of every data set."""
        trained = [self.seed_sds[one] > 0 for one in (first, second)]
        return errors([sums[first], sums[second]], self.sizes, (1.0, -1.0), trained)

"""Sets of inference weights to try: drawn over a box of ranges, or a grid in it. Ranges count by ratio (log scale)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from navforge.core.config import key
from navforge.core.errors import ConfigError

METHODS = ("sobol", "random", "grid")


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Which sets of weights are tried. The ranges are those the Hydra-MDP paper searched."""

    sets: int = key(10_000, "sets of weights to try; a grid has at most that many", low=2, high=1_000_000)
    method: str = key("sobol", "how they are spread", choices=METHODS)
    seed: int = key(0, "of the draw, and of how logs are split for cross-validation", low=0)
    imitation: tuple[float, ...] = key((0.01, 0.1), "range of the factor of the log imitation probability", low=1e-6)
    multiplicative: tuple[float, ...] = key((0.1, 1.0), "range of the factor of each log gating sub-score", low=1e-6)
    weighted: tuple[float, ...] = key((1.0, 10.0), "range of the factor of the log of the weighted sum", low=1e-6)

    def __post_init__(self) -> None:
        """Raise ConfigError unless ends are a range."""
        for name in ("imitation", "multiplicative", "weighted"):
            ends = getattr(self, name)
            if len(ends) != 2 or not ends[0] < ends[1]:
                raise ConfigError(f"search.{name}: expected [low,high] with low below high, got {list(ends)}")

    def box(self, factors: tuple[str, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(K,) smallest and (K,) largest weights of `HydraMdpConfig.log_factors`."""
        own = {"imitation": self.imitation, "weighted": self.weighted}
        ends = np.array([own.get(name, self.multiplicative) for name in factors])
        return ends[:, 0], ends[:, 1]


def weight_sets(config: SearchConfig, factors: tuple[str, ...]) -> NDArray[np.float64]:
    """(M, K) sets of weights inside the box.

    `sobol` is scrambled (Owen), `grid` has equally many values per factor, both ends among them.
    """
    low, high = config.box(factors)
    if config.method == "grid":
        steps = int(np.floor(config.sets ** (1 / len(factors)) + 1e-9))
        if steps < 2:
            raise ConfigError(f"search.sets: a grid over {len(factors)} factors has at least {2 ** len(factors)} sets")
        at = np.array(list(product(np.linspace(0, 1, steps), repeat=len(factors))))
    elif config.method == "sobol":
        from scipy.stats import qmc  # noqa: PLC0415 (half a second, which help need not wait for)

        sampler = qmc.Sobol(len(factors), rng=np.random.default_rng(config.seed))
        at = sampler.random_base2(int(np.ceil(np.log2(config.sets))))[: config.sets]
    else:
        at = np.random.default_rng(config.seed).random((config.sets, len(factors)))
    return np.clip(low * (high / low) ** at, low, high)

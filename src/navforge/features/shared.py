"""One reading of a feature store for several runs of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from navforge.features.store import FeatureStore


class SharedFeatures(FeatureStore):
    """A store whose latest rows are at hand: whoever asks for them next gets the same tensor, which nobody may change.

    One batch of each tensor is held in memory.
    """

    def __init__(self, path: Path, manifest: Any, tokens: NDArray[np.bytes_]) -> None:
        super().__init__(path, manifest, tokens)
        self._latest: dict[str, tuple[NDArray[np.intp], Tensor]] = {}

    def gather(self, name: str, rows: NDArray[np.intp]) -> Tensor:
        """(R, ...) rows of a tensor, read unless they are those that were read last."""
        latest = self._latest.get(name)
        if latest is None or not np.array_equal(latest[0], rows):
            latest = self._latest[name] = (rows, super().gather(name, rows))
        return latest[1]

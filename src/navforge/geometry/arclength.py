"""Arc length along polylines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def arc_length(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) arc length in m at every vertex of a polyline (M, 2 or more columns, x and y first); 0 at the first."""
    steps = np.linalg.norm(np.diff(points[:, :2].T), axis=0)
    return np.cumsum(np.append(0.0, steps))

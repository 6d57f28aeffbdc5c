"""Drive proposals: LQR tracker and kinematic bicycle, 40 steps of 0.1 s, batched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE
from navforge.simulation.kernels import simulate_batch
from navforge.simulation.tracker import STEPS, velocity_matrix

Float = NDArray[np.float64]


def simulate(ego_state: Float, reference: Float) -> Float:
    """Simulate proposals from one ego state.

    Args:
        ego_state: (11,) current state (`geometry.columns.State`).
        reference: (N, 41, 3) poses x, y, heading at 0.1 s, the first at the current time, in the frame of `ego_state`.

    Returns:
        (N, 41, 11) states in the same frame; headings in [-pi, pi). A view of memory laid out (11, 41, N).

    Raises:
        DataError: wrong shape, or a value that is not finite.
    """
    ego_state = np.require(ego_state, np.float64, ["C", "W"])  # a read-only array would compile the kernels anew
    reference = np.require(reference, np.float64, ["C", "W"])
    if ego_state.shape != (STATE_SIZE,) or not np.isfinite(ego_state).all():
        raise DataError(f"the ego state must be {STATE_SIZE} finite numbers, got {ego_state}")
    if reference.ndim != 3 or reference.shape[1:] != (STEPS, 3):
        raise DataError(f"references must have shape (N, {STEPS}, 3), got {reference.shape}")
    if not np.isfinite(reference).all():
        bad = int(np.flatnonzero(~np.isfinite(reference).all(axis=(1, 2)))[0])
        raise DataError(f"reference {bad} has a pose that is not finite (NaN or infinite)")
    states = np.empty((STATE_SIZE, STEPS, len(reference)))
    simulate_batch(ego_state, reference, velocity_matrix().T.copy(), states)
    return states.transpose(2, 1, 0)

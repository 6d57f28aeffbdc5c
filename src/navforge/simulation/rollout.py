"""Drive proposals: LQR tracker and kinematic bicycle, 40 steps of 0.1 s, batched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.geometry.columns import STATE_SIZE, Pose
from navforge.geometry.se2 import wrap_angle
from navforge.geometry.writable import writable
from navforge.simulation.kernels.rollout import simulate_plans, simulate_references
from navforge.simulation.plans import Plans, sampling
from navforge.simulation.tracker import STEPS, speed_factors

Float = NDArray[np.float64]

FAR_TURNED = 100.0
"""Headings beyond this (rad) are wrapped before they are used."""


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
    ego_state = _checked_ego(ego_state)
    reference = writable(reference)
    if reference.ndim != 3 or reference.shape[1:] != (STEPS, 3):
        raise DataError(f"references must have shape (N, {STEPS}, 3), got {reference.shape}")
    if not np.isfinite(reference).all():
        bad = int(np.flatnonzero(~np.isfinite(reference).all(axis=(1, 2)))[0])
        raise DataError(f"reference {bad} has a pose that is not finite (NaN or infinite)")
    if np.abs(reference[..., Pose.HEADING]).max(initial=0.0) > FAR_TURNED:
        reference = reference.copy()
        reference[..., Pose.HEADING] = wrap_angle(reference[..., Pose.HEADING])
    states = np.empty((STATE_SIZE, STEPS, len(reference)))
    simulate_references(ego_state, reference, speed_factors(), states)
    return states.transpose(2, 1, 0)


def drive(ego_state: Float, time_us: int, plans: Plans) -> Float:
    """Simulate plans from an ego state: `simulate` of their `plans.reference_poses`, bit for bit, without these.

    Args:
        ego_state: (11,) current state, global frame.
        time_us: time of the current frame.
        plans: `plans.prepare_plans`.

    Returns:
        (N, 41, 11) states in the global frame, as given by `simulate`.

    Raises:
        DataError: an ego state of a wrong shape or not finite.
    """
    states = np.empty((STATE_SIZE, STEPS, len(plans)))
    simulate_plans(_checked_ego(ego_state), plans.knots, sampling(plans, time_us), speed_factors(), states)
    return plans.as_given(states.transpose(2, 1, 0))


def _checked_ego(ego_state: Float) -> Float:
    ego_state = writable(ego_state)
    if ego_state.shape != (STATE_SIZE,) or not np.isfinite(ego_state).all():
        raise DataError(f"the ego state must be {STATE_SIZE} finite numbers, got {ego_state}")
    return ego_state

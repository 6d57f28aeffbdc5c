"""Compiled guard against plans so far off that their simulation overflows: no kernel may see what is not finite."""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel
from navforge.simulation.rows import HEADING, STATE_ROWS, STEERING, VX, X, Y


@kernel
def overflows(states, n):
    """Whether a simulated state (STATE_ROWS, T, N) of proposal n, or of each of eight, is not finite.

    What is not finite at some step makes the last state so, too.
    """
    last = states.shape[1] - 1
    sum_ = states[X, last, n] + states[Y, last, n] + states[HEADING, last, n]
    sum_ = sum_ + states[VX, last, n] + states[STEERING, last, n]
    return sum_ - sum_ != 0.0


@kernel
def halt(states, n):
    """Let proposal n stand still in its first state."""
    for row in range(STATE_ROWS):
        for t in range(1, states.shape[1]):
            states[row, t, n] = states[row, 0, n]


OVERFLOWED = math.nan
"""Progress of a proposal whose simulation overflowed: its score must not be used."""

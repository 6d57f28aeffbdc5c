"""Rows of the arrays `(row, time, proposal)` of the simulation's kernels."""

from __future__ import annotations

from navforge.simulation.tracker import INTERVALS, TRACKING_STEPS

# geometry.columns.State as plain integers, which CUDA kernels need, then cosine and sine of the heading.
X, Y, HEADING, VX, VY, AX, AY, STEERING, STEERING_RATE, YAW_RATE, YAW_ACCELERATION, COS, SIN = range(13)
CHANNELS = 11
STATE_ROWS = 13
"""Rows of a block of states."""
START_TAN = 13
START_SIZE = 14
"""A start state: `STATE_ROWS` and the tangent of the steering angle."""

# Rows of the work space (WORK_ROWS, WORK_STEPS, proposal).
REF_X, REF_Y, REF_HEADING, REF_COS, REF_SIN, SPEED, SHARE, CURVATURE = range(8)
WORK_ROWS = 8
WORK_STEPS = INTERVALS + TRACKING_STEPS
"""Curvatures are held beyond their end for as long as the tracker looks ahead."""

"""Where the ego's box is at each step of a proposal, in the ego frame of the scene."""

from __future__ import annotations

import math

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import any_lane, select
from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.simulation import rows
from navforge.simulation.rows import VX, VY, X, Y

HALF_LENGTH = 0.5 * EGO_LENGTH_M
HALF_WIDTH = 0.5 * EGO_WIDTH_M

# Cosine and sine of the heading in `states` (`simulation.rows`); COS and SIN below are those in the ego frame.
HEADING_COS, HEADING_SIN = rows.COS, rows.SIN
# Rows of `motion` (rows, T, N): rear axle, box centre, direction, speed in the ego frame of the scene.
REAR_X, REAR_Y, CENTER_X, CENTER_Y, COS, SIN, SPEED = range(7)
MOTION_ROWS = 7
# Values of `frame` (4,): the pose whose frame the scene's arrays are in.
FRAME_X, FRAME_Y, FRAME_COS, FRAME_SIN = range(4)
FRAME_SIZE = 4


@kernel
def place(states, frame, steps, n, motion):
    """Fill `motion` (7, T, N) of proposal n, or of the eight at `lanes_at(first)`, from `states` (13, T, N)."""
    origin_c = frame[FRAME_COS]
    origin_s = frame[FRAME_SIN]
    for t in range(steps):
        dx = states[X, t, n] - frame[FRAME_X]
        dy = states[Y, t, n] - frame[FRAME_Y]
        heading_c = states[HEADING_COS, t, n]
        heading_s = states[HEADING_SIN, t, n]
        x = origin_c * dx + origin_s * dy
        y = origin_c * dy - origin_s * dx
        c = origin_c * heading_c + origin_s * heading_s
        s = origin_c * heading_s - origin_s * heading_c
        motion[REAR_X, t, n] = x
        motion[REAR_Y, t, n] = y
        motion[CENTER_X, t, n] = x + REAR_AXLE_TO_CENTER_M * c
        motion[CENTER_Y, t, n] = y + REAR_AXLE_TO_CENTER_M * s
        motion[COS, t, n] = c
        motion[SIN, t, n] = s
        motion[SPEED, t, n] = magnitude(states[VX, t, n], states[VY, t, n])


@kernel
def magnitude(a, b):
    """Length of the vector (a, b); simulated states have b = 0, which costs no root."""
    length = abs(a)
    if any_lane(b != 0.0):
        length = select(b == 0.0, length, math.sqrt(a * a + b * b))
    return length


@kernel
def corner(x, y, c, s, half_length, half_width, k):
    """Corner k of a box: front left, rear left, rear right, front right (the devkit's order)."""
    along = half_length if k in (0, 3) else -half_length
    across = half_width if k < 2 else -half_width
    return x + along * c - across * s, y + along * s + across * c

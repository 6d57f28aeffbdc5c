"""Names of array columns, so that no code indexes by a bare number.

Units: metres, seconds, radians. Headings are counter-clockwise from +x.
"""

from __future__ import annotations

from enum import IntEnum


class Pose(IntEnum):
    """Columns of a pose (..., 3)."""

    X = 0
    Y = 1
    HEADING = 2


class State(IntEnum):
    """Columns of an ego state (..., 11) at the rear axle; velocities and accelerations in the ego frame."""

    X = 0
    Y = 1
    HEADING = 2
    VELOCITY_X = 3
    VELOCITY_Y = 4
    ACCELERATION_X = 5
    ACCELERATION_Y = 6
    STEERING_ANGLE = 7
    STEERING_RATE = 8
    YAW_RATE = 9
    YAW_ACCELERATION = 10


class Box(IntEnum):
    """Columns of an oriented box (..., 5): centre, heading, extent along and across the heading."""

    X = 0
    Y = 1
    HEADING = 2
    LENGTH = 3
    WIDTH = 4


class Command(IntEnum):
    """Columns of the one-hot driving command (..., 4)."""

    LEFT = 0
    STRAIGHT = 1
    RIGHT = 2
    UNKNOWN = 3


STATE_SIZE = len(State)

"""What the trajectories of a vocabulary, or human ones, reach: speed, standing, reversing, turns, lateral offset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from navforge.geometry.columns import Pose
from navforge.geometry.se2 import wrap_angle
from navforge.vocabulary.vocabulary import INTERVAL_S

Float = NDArray[np.float64]

STATIONARY_M = 0.5
"""A trajectory that ends less than this from its start stands."""
REVERSING_M = 0.1
"""A trajectory that drives more than this backwards on balance reverses."""
MOVING_M = 0.1
"""Steps shorter than this have no direction worth comparing."""
SPEED_CHANGE_S = 1.0
"""Acceleration is the change of speed over this time: smaller than what one noisy step shows."""
STRAIGHT_RAD = 0.1
"""A trajectory that turns less than this drives straight."""


@dataclass(frozen=True)
class Motion:
    """How trajectories move, the current pose (the origin) included."""

    poses: NDArray[np.floating]
    """(N, T, 3) ego frame, 0.1 s apart, the current pose left out."""

    @cached_property
    def steps(self) -> Float:
        """(N, T, 2) m displacement in each step, ego frame."""
        xy = self.poses[..., : Pose.HEADING].astype(np.float64)
        return np.diff(xy, axis=1, prepend=0.0)

    @cached_property
    def speed(self) -> Float:
        """(N, T) m/s mean speed in each step."""
        return np.hypot(self.steps[..., 0], self.steps[..., 1]) / INTERVAL_S

    @cached_property
    def top_speed(self) -> Float:
        """(N,) m/s."""
        return self.speed.max(axis=1)

    @cached_property
    def mean_speed(self) -> Float:
        """(N,) m/s."""
        return self.speed.mean(axis=1)

    @cached_property
    def forward(self) -> Float:
        """(N,) m driven along the own heading; negative: backwards on balance."""
        heading = self.poses[..., Pose.HEADING].astype(np.float64)
        return (self.steps[..., 0] * np.cos(heading) + self.steps[..., 1] * np.sin(heading)).sum(axis=1)

    @cached_property
    def stationary(self) -> NDArray[np.bool_]:
        """(N,) whether it ends less than `STATIONARY_M` from its start."""
        return np.hypot(self.poses[:, -1, 0], self.poses[:, -1, 1]) < STATIONARY_M

    @cached_property
    def reversing(self) -> NDArray[np.bool_]:
        """(N,) whether it drives more than `REVERSING_M` backwards."""
        return self.forward < -REVERSING_M

    @cached_property
    def turn(self) -> Float:
        """(N,) rad heading at the end, counter-clockwise, full turns counted."""
        heading = self.poses[..., Pose.HEADING].astype(np.float64)
        return np.unwrap(heading, axis=1)[:, -1]

    @cached_property
    def acceleration(self) -> Float:
        """(N, T') m/s2 change of speed over `SPEED_CHANGE_S`, at every step that has one."""
        width = round(SPEED_CHANGE_S / INTERVAL_S)
        return (self.speed[:, width:] - self.speed[:, :-width]) / SPEED_CHANGE_S

    @cached_property
    def yaw_rate(self) -> Float:
        """(N, T) rad/s."""
        heading = self.poses[..., Pose.HEADING].astype(np.float64)
        return wrap_angle(np.diff(heading, axis=1, prepend=0.0)) / INTERVAL_S

    @cached_property
    def slip(self) -> Float:
        """(N,) rad largest angle between heading and path, reversing counted as along the path; 0 where it stands."""
        direction = np.arctan2(self.steps[..., 1], self.steps[..., 0]) - self.poses[..., Pose.HEADING].astype(
            np.float64
        )
        angle = np.abs(wrap_angle(direction))
        angle = np.minimum(angle, np.pi - angle)
        return np.where(self.speed * INTERVAL_S > MOVING_M, angle, 0.0).max(axis=1)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The extremes of a set of trajectories, and shares of it in [0, 1]."""

    trajectories: int
    top_speed_mps: float
    median_speed_mps: float
    """Median of the mean speeds."""
    stationary_share: float
    """Ends less than 0.5 m from its start."""
    reversing_share: float
    """Drives more than 0.1 m backwards."""
    straight_share: float
    """Turns less than 0.1 rad, standing ones included."""
    farthest_m: float
    """Largest x reached."""
    left_m: float
    """Largest y reached."""
    right_m: float
    """Largest -y reached."""
    left_turn_rad: float
    """Largest heading at the end."""
    right_turn_rad: float
    """Largest -heading at the end."""
    yaw_rate_radps: float
    acceleration_mps2: float
    """Strongest, over 1 s."""
    braking_mps2: float
    """Strongest, over 1 s; positive."""
    slip_rad: float
    """Largest angle between heading and path: 0 would be a path driven without slip."""


def limits_of(motion: Motion) -> Limits:
    """The limits of trajectories (N >= 1)."""
    poses = motion.poses
    return Limits(
        trajectories=len(poses),
        top_speed_mps=float(motion.top_speed.max()),
        median_speed_mps=float(np.median(motion.mean_speed)),
        stationary_share=float(motion.stationary.mean()),
        reversing_share=float(motion.reversing.mean()),
        straight_share=float((np.abs(motion.turn) < STRAIGHT_RAD).mean()),
        farthest_m=max(float(poses[..., Pose.X].max()), 0.0),
        left_m=max(float(poses[..., Pose.Y].max()), 0.0),
        right_m=max(float(-poses[..., Pose.Y].min()), 0.0),
        left_turn_rad=max(float(motion.turn.max()), 0.0),
        right_turn_rad=max(float(-motion.turn.min()), 0.0),
        yaw_rate_radps=float(np.abs(motion.yaw_rate).max()),
        acceleration_mps2=max(float(motion.acceleration.max()), 0.0),
        braking_mps2=max(float(-motion.acceleration.min()), 0.0),
        slip_rad=float(motion.slip.max()),
    )

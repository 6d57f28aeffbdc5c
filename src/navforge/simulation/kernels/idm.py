"""The intelligent driver model, of reactive traffic and of PDM-Closed alike, each with its own parameters."""

from __future__ import annotations

import math
from typing import NamedTuple

from navforge.geometry.compiled import kernel


class Driver(NamedTuple):
    """Parameters of the model."""

    min_gap_m: float
    headway_s: float
    max_acceleration: float
    """m/s2"""
    max_deceleration: float
    """m/s2"""


@kernel
def idm_acceleration(driver, speed, effort, gap, lead_speed):
    """Acceleration, m/s2, of a vehicle behind another.

    dv/dt = a (1 - (v / v0)^delta - (s* / s)^2), s* = s0 + v T + v (v - v_lead) / (2 sqrt(a b)), limited to [-b, a], the
    gap s to at least s0. Source: Treiber, Hennecke and Helbing, Phys. Rev. E 62 (2000), with the limits of nuPlan's
    `IDMPolicy`.

    Args:
        driver: `Driver`: s0, T, a, b.
        speed: v, m/s.
        effort: (v / v0)^delta.
        gap: s, m.
        lead_speed: v_lead, m/s.
    """
    root = math.sqrt(driver.max_acceleration * driver.max_deceleration)
    desired = driver.min_gap_m + speed * driver.headway_s + speed * (speed - lead_speed) / (2.0 * root)
    share = desired / max(gap, driver.min_gap_m)
    acceleration = driver.max_acceleration * (1.0 - effort - share * share)
    if acceleration < -driver.max_deceleration:
        return -driver.max_deceleration
    if acceleration > driver.max_acceleration:
        return driver.max_acceleration
    return acceleration

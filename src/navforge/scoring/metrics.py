"""The sub-scores: their names in result tables, how they enter a score, with which weight.

Adding a sub-score: describe it here, compute it in `engine.py` (from a kernel); tables, heads and reports iterate over
a protocol's metrics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["multiplicative", "weighted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One sub-score, in [0, 1]."""

    name: str
    """Column name of the devkit."""
    short: str
    """Abbreviation in papers."""
    kind: Kind
    """Multiplicative sub-scores gate the score; weighted ones enter the weighted mean."""
    weight: float = 1.0
    """Weight in the weighted mean; 0 for a sub-score that is reported only. No meaning for multiplicative ones."""


NO_AT_FAULT_COLLISIONS = Metric(name="no_at_fault_collisions", short="NC", kind="multiplicative")
DRIVABLE_AREA_COMPLIANCE = Metric(name="drivable_area_compliance", short="DAC", kind="multiplicative")
DRIVING_DIRECTION_COMPLIANCE = Metric(name="driving_direction_compliance", short="DDC", kind="multiplicative")
TRAFFIC_LIGHT_COMPLIANCE = Metric(name="traffic_light_compliance", short="TLC", kind="multiplicative")
EGO_PROGRESS = Metric(name="ego_progress", short="EP", kind="weighted", weight=5.0)
TIME_TO_COLLISION = Metric(name="time_to_collision_within_bound", short="TTC", kind="weighted", weight=5.0)
LANE_KEEPING = Metric(name="lane_keeping", short="LK", kind="weighted", weight=2.0)
HISTORY_COMFORT = Metric(name="history_comfort", short="HC", kind="weighted", weight=2.0)
EXTENDED_COMFORT = Metric(name="two_frame_extended_comfort", short="EC", kind="weighted", weight=2.0)
COMFORT = Metric(name="comfort", short="C", kind="weighted", weight=2.0)
DRIVING_DIRECTION_V1 = Metric(name="driving_direction_compliance", short="DDC", kind="weighted", weight=0.0)

METRICS_V1 = (
    NO_AT_FAULT_COLLISIONS,
    DRIVABLE_AREA_COMPLIANCE,
    EGO_PROGRESS,
    TIME_TO_COLLISION,
    COMFORT,
    DRIVING_DIRECTION_V1,
)
METRICS_V2 = (
    NO_AT_FAULT_COLLISIONS,
    DRIVABLE_AREA_COMPLIANCE,
    DRIVING_DIRECTION_COMPLIANCE,
    TRAFFIC_LIGHT_COMPLIANCE,
    EGO_PROGRESS,
    TIME_TO_COLLISION,
    LANE_KEEPING,
    HISTORY_COMFORT,
)
"""Without extended comfort, which needs two scenes (`scoring.extended_comfort`)."""

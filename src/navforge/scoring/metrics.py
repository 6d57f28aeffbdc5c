"""The table of sub-scores: names in result tables, how they enter a score and with which weight, columns of kernels.

To add one, describe it here and call its kernel in `kernels.table.judge`; tables, teacher stores, heads and reports
iterate over a protocol's metrics (docs/how-to-add.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Kind = Literal["multiplicative", "weighted"]


class Column(IntEnum):
    """Columns of raw results (`Column`, ...), as the kernels write them."""

    COLLISION = 0
    DRIVABLE = 1
    DIRECTION = 2
    LIGHTS = 3
    TTC = 4
    LANE = 5
    COMFORT = 6
    PROGRESS = 7
    """Raw progress, m."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One sub-score, in [0, 1]."""

    name: str
    """Column name of the devkit."""
    short: str
    """Abbreviation in papers."""
    kind: Kind
    """Multiplicative sub-scores gate the score; weighted ones enter the weighted mean."""
    column: Column | None = None
    """Where kernels write it; for ego progress, its raw value. None: not computed from a single scene."""
    weight: float = 1.0
    """Weight in the weighted mean; 0 for a sub-score that is reported only. No meaning for multiplicative ones."""
    levels: int | None = 2
    """How many values it takes, evenly from 0 to 1: 2, or 3 where 0.5 is one of them; None: any."""


NO_AT_FAULT_COLLISIONS = Metric(
    name="no_at_fault_collisions", short="NC", kind="multiplicative", column=Column.COLLISION, levels=3
)
DRIVABLE_AREA_COMPLIANCE = Metric(
    name="drivable_area_compliance", short="DAC", kind="multiplicative", column=Column.DRIVABLE
)
DRIVING_DIRECTION_COMPLIANCE = Metric(
    name="driving_direction_compliance", short="DDC", kind="multiplicative", column=Column.DIRECTION, levels=3
)
TRAFFIC_LIGHT_COMPLIANCE = Metric(
    name="traffic_light_compliance", short="TLC", kind="multiplicative", column=Column.LIGHTS
)
EGO_PROGRESS = Metric(name="ego_progress", short="EP", kind="weighted", weight=5.0, column=Column.PROGRESS, levels=None)
TIME_TO_COLLISION = Metric(
    name="time_to_collision_within_bound", short="TTC", kind="weighted", weight=5.0, column=Column.TTC
)
LANE_KEEPING = Metric(name="lane_keeping", short="LK", kind="weighted", weight=2.0, column=Column.LANE)
HISTORY_COMFORT = Metric(name="history_comfort", short="HC", kind="weighted", weight=2.0, column=Column.COMFORT)
EXTENDED_COMFORT = Metric(name="two_frame_extended_comfort", short="EC", kind="weighted", weight=2.0)
COMFORT = Metric(name="comfort", short="C", kind="weighted", weight=2.0, column=Column.COMFORT)
DRIVING_DIRECTION_V1 = Metric(
    name="driving_direction_compliance", short="DDC", kind="weighted", weight=0.0, column=Column.DIRECTION, levels=3
)
"""Weights: `PDMScorerConfig.progress_weight`, `ttc_weight`, `lane_keeping_weight`, `history_comfort_weight`,
`two_frame_extended_comfort_weight` of NAVSIM v2.2; `progress_weight`, `ttc_weight`, `comfortable_weight`,
`driving_direction_weight` of v1.1."""

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

"""Sizes of worlds by name."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.core.config import key


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Shape of one town's street plan."""

    rows: int = key(4, "junctions from south to north", low=3, high=20)
    columns: int = key(4, "junctions from west to east", low=3, high=20)
    spacing_m: float = key(128.0, "mean distance of neighbouring junctions", unit="m", low=100, high=400)
    jitter_m: float = key(9.0, "how far a junction may lie off the grid", unit="m", low=0, high=20)
    bend_m: float = key(10.0, "largest sideways swing of a road", unit="m", low=0, high=15)
    missing_share: float = key(0.25, "share of inner roads left out, which makes T junctions", low=0, high=0.5)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """One split of a scale: where its logs are driven, how many, how long."""

    name: str
    logs: int
    frames: int
    """Per log, at 2 Hz."""
    places: tuple[str, ...]
    """Map locations; logs go round."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Size of a world."""

    towns: dict[str, PlanConfig]
    """Street plan per map location; the other locations get an empty map."""
    splits: tuple[SplitPlan, ...]


PITTSBURGH, VEGAS, BOSTON = "us-pa-pittsburgh-hazelwood", "us-nv-las-vegas-strip", "us-ma-boston"

SCALES = {
    "tiny": Scale(
        {PITTSBURGH: PlanConfig(rows=3, columns=4), BOSTON: PlanConfig(rows=3, columns=4)},
        (
            SplitPlan("train", 2, 18, (PITTSBURGH,)),
            SplitPlan("val", 1, 16, (BOSTON,)),
            SplitPlan("test", 1, 18, (BOSTON,)),
        ),
    ),
    "small": Scale(
        {
            PITTSBURGH: PlanConfig(rows=5, columns=5),
            VEGAS: PlanConfig(rows=5, columns=5),
            BOSTON: PlanConfig(rows=5, columns=5),
        },
        (
            SplitPlan("train", 48, 27, (PITTSBURGH, VEGAS)),
            SplitPlan("val", 4, 27, (BOSTON,)),
            SplitPlan("test", 10, 27, (BOSTON,)),
        ),
    ),
    "large": Scale(
        {
            PITTSBURGH: PlanConfig(rows=8, columns=8),
            VEGAS: PlanConfig(rows=8, columns=8),
            BOSTON: PlanConfig(rows=7, columns=7),
        },
        (
            SplitPlan("train", 400, 30, (PITTSBURGH, VEGAS)),
            SplitPlan("val", 30, 30, (BOSTON,)),
            SplitPlan("test", 90, 30, (BOSTON,)),
        ),
    ),
}
"""Sizes by name. Training and held-out logs (val, test) are driven in different cities."""

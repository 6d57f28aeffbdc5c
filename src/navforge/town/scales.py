"""Sizes of worlds by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from navforge.core.config import key

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class CityStyle:
    """What tells one city from another beside its streets; ranges are drawn from."""

    storeys_m: tuple[float, ...] = (4.0, 7.0, 10.0, 16.0)
    """Heights of buildings."""
    hues: tuple[float, ...] = (0.02, 0.05, 0.08, 0.10, 0.12, 0.55, 0.60, 0.33)
    """Of walls, shares of the colour circle."""
    saturation: Range = (0.05, 0.45)
    """Of walls."""
    brightness: Range = (0.48, 0.88)
    """Of walls."""
    white_centre_lines: bool = False
    """Opposite directions are parted by a white line instead of a double yellow one."""
    sun_elevation_deg: Range = (28.0, 65.0)
    clouds: Range = (0.0, 0.6)
    """0 is a clear sky, 1 an overcast one."""
    visibility_m: Range = (220.0, 420.0)
    """In haze."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Shape of one town's street plan."""

    rows: int = key(4, "junctions from south to north", low=3, high=20)
    columns: int = key(4, "junctions from west to east", low=3, high=20)
    spacing_m: float = key(128.0, "mean distance of neighbouring junctions", unit="m", low=100, high=400)
    jitter_m: float = key(9.0, "how far a junction may lie off the grid", unit="m", low=0, high=20)
    bend_m: float = key(10.0, "largest sideways swing of a road", unit="m", low=0, high=15)
    lane_width_m: float = key(3.8, "mean width of lanes", unit="m", low=3.2, high=4.2)
    traffic: str = key("right", "side of the road that traffic keeps", choices=("right", "left"))
    style: CityStyle = key(CityStyle, "what tells it from other cities beside its streets")
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
SINGAPORE = "sg-one-north"

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

CITIES: dict[str, dict[str, Any]] = {
    PITTSBURGH: {},
    VEGAS: {
        "lane_width_m": 4.0,
        "style": CityStyle(
            storeys_m=(4.0, 10.0, 22.0, 34.0),
            hues=(0.07, 0.09, 0.11, 0.13),
            saturation=(0.2, 0.5),
            brightness=(0.7, 0.95),
            sun_elevation_deg=(45.0, 75.0),
            clouds=(0.0, 0.15),
            visibility_m=(400.0, 900.0),
        ),
    },
    BOSTON: {
        "lane_width_m": 3.6,
        "style": CityStyle(
            storeys_m=(7.0, 10.0, 13.0, 16.0),
            hues=(0.0, 0.01, 0.02, 0.04),
            saturation=(0.35, 0.6),
            brightness=(0.35, 0.6),
            sun_elevation_deg=(15.0, 40.0),
            clouds=(0.4, 1.0),
            visibility_m=(150.0, 300.0),
        ),
    },
    SINGAPORE: {
        "lane_width_m": 3.5,
        "traffic": "left",
        "style": CityStyle(
            storeys_m=(10.0, 16.0, 28.0, 40.0),
            hues=(0.33, 0.45, 0.5, 0.55),
            saturation=(0.0, 0.2),
            brightness=(0.75, 0.98),
            white_centre_lines=True,
            sun_elevation_deg=(50.0, 85.0),
            clouds=(0.2, 0.9),
            visibility_m=(120.0, 240.0),
        ),
    },
}
"""What a city has of its own, by location: keys of `PlanConfig`; used where cities are chosen (`in_cities`)."""


def in_cities(scale: Scale, locations: Sequence[str]) -> Scale:
    """The scale with every split driven in each of these cities, each with as many logs as a city of the scale has."""
    plan = next(iter(scale.towns.values()))
    # Twice one after the other: what a log is to hold alternates with its number, and is so the same in each city.
    places = tuple(place for place in locations for _ in range(2))
    return Scale(
        {place: replace(plan, **CITIES[place]) for place in locations},
        tuple(
            replace(split, logs=split.logs * len(locations) // len(split.places), places=places)
            for split in scale.splits
        ),
    )

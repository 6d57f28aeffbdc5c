"""Colours and line styles, the same in every figure.

Trajectory colours are from Okabe and Ito's palette, told apart with any colour vision; dashes repeat the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from navforge.metric_cache.objects import ObjectType
from navforge.metric_cache.scene import MapLayer


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one trajectory is drawn."""

    color: str
    dash: tuple[float, ...] = ()
    """Lengths of dashes and gaps in line widths; empty for a solid line."""
    width_m: float = 0.35
    """Width of its ribbon in camera images."""
    points: float = 2.0
    """Width of its line in pictures from above."""


HUMAN = Style(color="#009E73", dash=(3.0, 1.4))
CHOSEN = Style(color="#D55E00", width_m=1.1, points=3.6)
BEST = Style(color="#0072B2", dash=(1.0, 1.1))
OTHER = Style(color="#CC79A7", dash=(5.0, 1.5, 1.0, 1.5))

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
"""Colours of curves and agents, in order."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
DASHES = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.4, 1.4, 1.4)), (0, (3, 1.2)), (0, (9, 2)), (0, (1, 3)))
"""Beside the colours, in the same order: in grey, form alone tells series apart."""


def series(number: int) -> tuple[str, str, Any]:
    """Colour, marker and dash of a series by its place; no two of 49 have colour and marker in common."""
    turn = number // len(SERIES)
    return SERIES[number % len(SERIES)], MARKERS[(number + turn) % len(MARKERS)], DASHES[(number + turn) % len(DASHES)]


@dataclass(frozen=True)
class Trajectory:
    """A plan to draw."""

    label: str
    poses: NDArray[np.float64]
    """(T, 3) ego frame of the current pose, which is left out."""
    style: Style


LAYER_COLOR = {
    MapLayer.CARPARK_AREA: "#e7e3da",
    MapLayer.GENERIC_DRIVABLE_AREA: "#e4e6e9",
    MapLayer.ROADBLOCK: "#dcdfe4",
    MapLayer.ROADBLOCK_CONNECTOR: "#dcdfe4",
    MapLayer.INTERSECTION: "#d3d7de",
}
"""Fill of the map's areas, in the order they are drawn; lanes are drawn as outlines."""
ROUTE_COLOR = "#c6d9ec"
LANE_EDGE = "#aab0ba"
LANE_CENTER = "#8d95a1"
OFF_ROAD = "#f6f6f3"
RED_LIGHT = "#e03c31"
OBJECT_COLOR = {
    ObjectType.VEHICLE: "#5b6b80",
    ObjectType.PEDESTRIAN: "#9b2fae",
    ObjectType.BICYCLE: "#0f8a8a",
    ObjectType.TRAFFIC_CONE: "#e08a00",
    ObjectType.BARRIER: "#a05a2c",
    ObjectType.CZONE_SIGN: "#e08a00",
    ObjectType.GENERIC_OBJECT: "#8a8a8a",
}
EGO_COLOR = "#1d2430"


def legend() -> list[tuple[str, str, str]]:
    """Rows (what, colour, form) of the page's one legend; form is `line`, `dash`, `dots` or `box`."""
    return [
        ("chosen plan", CHOSEN.color, "line"),
        ("human", HUMAN.color, "dash"),
        ("best-scored vocabulary entry", BEST.color, "dots"),
        ("ego vehicle", EGO_COLOR, "box"),
        ("vehicle", OBJECT_COLOR[ObjectType.VEHICLE], "box"),
        ("pedestrian", OBJECT_COLOR[ObjectType.PEDESTRIAN], "box"),
        ("cyclist", OBJECT_COLOR[ObjectType.BICYCLE], "box"),
        ("cone, barrier, sign", OBJECT_COLOR[ObjectType.TRAFFIC_CONE], "box"),
        ("route lanes", ROUTE_COLOR, "box"),
        ("lane under a red light", RED_LIGHT, "box"),
    ]

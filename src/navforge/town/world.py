"""What the town is made of: `TownMap` (roads and scenery, fixed) and `Snapshot` (everything that moves, at one time).

Frame: the **town frame**, metres, x east, y north, z up, the ground is z = 0. `TownMap.origin` is its origin in
the metric CRS of the map location, so global = town + origin; logs and map files are written in global coordinates,
everything in memory (and all rendering) stays in the town frame. Headings are counter-clockwise from +x.
Polylines are (K, 2) float64; polygons are (K, 2) float64 rings, counter-clockwise, not closed. Traffic keeps right,
except in a mirrored town (`town.mirror`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


class Turn(IntEnum):
    """What a lane connector does; values are the columns of the driving command (`geometry.columns.Command`)."""

    LEFT = 0
    STRAIGHT = 1
    RIGHT = 2


class Light(IntEnum):
    """State of the light that governs a lane connector."""

    GREEN = 0
    YELLOW = 1
    RED = 2


class Paint(IntEnum):
    """Kinds of painted lines."""

    SOLID_WHITE = 0
    DASHED_WHITE = 1
    SOLID_YELLOW = 2
    DOUBLE_YELLOW = 3
    STOP_LINE = 4


class ActorKind(IntEnum):
    """Kinds of actors as they look; `OPENSCENE_NAME` gives the class written to logs."""

    CAR = 0
    VAN = 1
    TRUCK = 2
    BUS = 3
    BICYCLE = 4
    PEDESTRIAN = 5
    CONE = 6
    BARRIER = 7
    SIGN = 8
    GENERIC = 9


OPENSCENE_NAME: dict[ActorKind, str] = {
    ActorKind.CAR: "vehicle",
    ActorKind.VAN: "vehicle",
    ActorKind.TRUCK: "vehicle",
    ActorKind.BUS: "vehicle",
    ActorKind.BICYCLE: "bicycle",
    ActorKind.PEDESTRIAN: "pedestrian",
    ActorKind.CONE: "traffic_cone",
    ActorKind.BARRIER: "barrier",
    ActorKind.SIGN: "czone_sign",
    ActorKind.GENERIC: "generic_object",
}


class ActorBox(IntEnum):
    """Columns of `Actors.box` (A, 7): box centre, extents, heading."""

    X = 0
    Y = 1
    Z = 2
    LENGTH = 3
    WIDTH = 4
    HEIGHT = 5
    HEADING = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A piece of road for one line of vehicles; its lines run in driving direction."""

    centre: Float
    left: Float
    right: Float
    speed_limit: float
    """m/s"""

    @property
    def polygon(self) -> Float:
        """Ring of its area."""
        return np.concatenate([self.right, self.left[::-1]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane(Strip):
    """One lane between two intersections; the lines run in driving direction and end at the stop line."""

    fid: int
    roadblock: int
    """fid of the lane's `Roadblock`."""
    index: int
    """0 = leftmost lane of its roadblock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector(Strip):
    """One way through an intersection, from the end of a lane to the start of another."""

    fid: int
    polygon_fid: int
    roadblock: int
    """fid of its `RoadblockConnector`."""
    intersection: int
    from_lane: int
    to_lane: int
    turn: Turn
    stop_line: int
    """fid of the stop line before it."""
    lit: bool
    """A traffic light governs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roadblock:
    """Parallel lanes of one direction, from one intersection to the next."""

    fid: int
    lanes: tuple[int, ...]
    """Lane fids, leftmost first."""
    polygon: Float
    road: int
    """Index of the two-way road it is one half of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadblockConnector:
    """All lane connectors from one roadblock to another."""

    fid: int
    from_roadblock: int
    to_roadblock: int
    intersection: int
    connectors: tuple[int, ...]
    polygon: Float


@dataclass(frozen=True, slots=True, kw_only=True)
class Intersection:
    """Area where roads meet, kerb corners included."""

    fid: int
    polygon: Float
    centre: Float
    """(2,)"""
    lit: bool
    arms: tuple[int, ...]
    """Roadblock fids that enter it, counter-clockwise; each is one phase of the lights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLine:
    """Painted line across the lanes of one roadblock at its end."""

    fid: int
    intersection: int
    roadblock: int
    polygon: Float
    """Thin quadrilateral, as painted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LightHead:
    """One traffic light head: three lamps, red on top, facing the vehicles of `roadblock`."""

    fid: int
    stop_line: int
    roadblock: int
    position: Float
    """(3,) centre of the head."""
    heading: float
    """Direction the lamps shine to (towards the waiting vehicles)."""
    pole: Float
    """(2,) foot of the pole; an arm reaches from it to the head."""
    connectors: tuple[int, ...]
    """Connectors it governs; all always share one state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedLine:
    """A line on the road; dashes are for the renderer to cut (3 m long, 6 m apart)."""

    line: Float
    kind: Paint
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CarPark:
    """Kerbside parking strip, or lot beside the road; asphalt."""

    fid: int
    polygon: Float
    heading: float
    lot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosswalk:
    """Zebra crossing; `line` runs from kerb to kerb through its middle, stripes are parallel to the traffic."""

    fid: int
    polygon: Float
    line: Float
    """(2, 2)"""
    intersection: int
    arm: int
    """Roadblock fid that enters the intersection over it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """Prism on a convex footprint."""

    footprint: Float
    height: float
    colour: int
    """Seed of its looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TownMap:
    """One map location: the lane graph and everything that stands still in every log."""

    location: str
    seed: int
    crs: str
    """Metric CRS of the location, such as "EPSG:32617"."""
    origin: Float
    """(2,) town frame origin in `crs`."""
    lanes: dict[int, Lane]
    connectors: dict[int, Connector]
    roadblocks: dict[int, Roadblock]
    roadblock_connectors: dict[int, RoadblockConnector]
    intersections: dict[int, Intersection]
    stop_lines: dict[int, StopLine]
    light_heads: tuple[LightHead, ...]
    carparks: tuple[CarPark, ...]
    crosswalks: tuple[Crosswalk, ...]
    walkways: tuple[Float, ...]
    """Rings of pavement; 0.12 m above the road looks right, flat is correct."""
    footpaths: tuple[Float, ...]
    """Middle lines of the pavements along roads; pedestrians walk there."""
    painted_lines: tuple[PaintedLine, ...]
    buildings: tuple[Building, ...]
    trees: Float
    """(N, 4) x, y, height, crown radius."""
    poles: Float
    """(N, 3) x, y, height (street lamps)."""
    bounds: tuple[float, float, float, float]
    """min x, min y, max x, max y of everything; outside is grass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actors:
    """Everything with a 3-D box except ego, as arrays over actors."""

    box: Float
    """(A, 7) `ActorBox` columns, town frame."""
    velocity: Float
    """(A, 2) m/s, town frame."""
    kind: NDArray[np.uint8]
    """(A,) `ActorKind`."""
    track: NDArray[np.int64]
    """(A,) number of the track, unique within a log, constant over its life."""
    colour: NDArray[np.int64]
    """(A,) seed of its looks, constant over its life."""
    braking: NDArray[np.bool_]
    """(A,) brake lights are on."""

    def __len__(self) -> int:
        return len(self.box)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The moving world at one time, and ego in it."""

    time_us: int
    ego_pose: Float
    """(3,) rear axle x, y, heading, town frame."""
    ego_velocity: Float
    """(2,) vx, vy in the ego frame."""
    ego_acceleration: Float
    """(2,) ax, ay in the ego frame."""
    actors: Actors
    lights: dict[int, Light] = field(default_factory=dict)
    """State per lit connector fid."""

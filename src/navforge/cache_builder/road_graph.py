"""`RoadGraph`: what route and centreline need of a map, and the adapter that answers from `maps.Map`.

A *block* is a roadblock or a roadblock connector, a *lane* a lane or a lane connector; both are named by feature id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.maps.graph import LaneEdge, Roadblock
from navforge.maps.map import Map
from navforge.maps.schema import Layer


class RoadGraph(Protocol):
    """Blocks and lanes of a map and how they follow each other. Lists are in file order unless said otherwise."""

    def has_block(self, block: int) -> bool:
        """Whether the map has a roadblock or roadblock connector of this id."""
        ...

    def is_connector(self, block: int) -> bool:
        """Whether the block is a roadblock connector."""
        ...

    def next_blocks(self, block: int) -> Sequence[int]:
        """Blocks that follow."""
        ...

    def previous_blocks(self, block: int) -> Sequence[int]:
        """Blocks that lead here."""
        ...

    def lanes_of(self, block: int) -> Sequence[int]:
        """Lanes of a roadblock, lane connectors of a roadblock connector."""
        ...

    def block_polygon(self, block: int) -> shapely.Polygon:
        """Area of a block."""
        ...

    def blocks_near(self, x: float, y: float, radius_m: float) -> Sequence[int]:
        """Blocks that touch the square of half width `radius_m` around a point: first roadblocks, then connectors."""
        ...

    def nearest_blocks(self, x: float, y: float) -> Sequence[int]:
        """The nearest roadblock and the nearest roadblock connector, as far as the map has any."""
        ...

    def next_lanes(self, lane: int) -> Sequence[int]:
        """Lanes that follow."""
        ...

    def block_of(self, lane: int) -> int:
        """The block a lane belongs to."""
        ...

    def lane_path(self, lane: int) -> NDArray[np.float64]:
        """(M, 3) poses of the lane's baseline."""
        ...

    def lane_length(self, lane: int) -> float:
        """Length of the baseline in m."""
        ...

    def lane_polygon(self, lane: int) -> shapely.Polygon:
        """Area of a lane."""
        ...

    def speed_limit(self, lane: int) -> float | None:
        """Speed limit in m/s; None where the map has none."""
        ...


class MapGraph:
    """`RoadGraph` of a map."""

    def __init__(self, road_map: Map) -> None:
        self._map = road_map
        self._blocks: dict[int, Roadblock] = {}
        self._lanes: dict[int, LaneEdge] = {}

    def has_block(self, block: int) -> bool:
        """See `RoadGraph`."""
        return self._map.find_roadblock(block) is not None

    def is_connector(self, block: int) -> bool:
        """See `RoadGraph`."""
        return self._block(block).is_connector

    def next_blocks(self, block: int) -> tuple[int, ...]:
        """See `RoadGraph`."""
        return tuple(following.fid for following in self._block(block).outgoing)

    def previous_blocks(self, block: int) -> tuple[int, ...]:
        """See `RoadGraph`."""
        return tuple(before.fid for before in self._block(block).incoming)

    def lanes_of(self, block: int) -> tuple[int, ...]:
        """See `RoadGraph`."""
        return tuple(lane.fid for lane in self._block(block).interior)

    def block_polygon(self, block: int) -> shapely.Polygon:
        """See `RoadGraph`."""
        return self._block(block).polygon

    def blocks_near(self, x: float, y: float, radius_m: float) -> list[int]:
        """See `RoadGraph`."""
        layers = (Layer.ROADBLOCK, Layer.ROADBLOCK_CONNECTOR)
        return [int(fid) for layer in layers for fid in self._map.near(layer, x, y, radius_m)]

    def nearest_blocks(self, x: float, y: float) -> list[int]:
        """See `RoadGraph`."""
        layers = (Layer.ROADBLOCK, Layer.ROADBLOCK_CONNECTOR)
        return [self._map.nearest(layer, x, y)[0] for layer in layers if len(self._map.layer(layer))]

    def next_lanes(self, lane: int) -> tuple[int, ...]:
        """See `RoadGraph`."""
        return tuple(following.fid for following in self._lane(lane).outgoing)

    def block_of(self, lane: int) -> int:
        """See `RoadGraph`."""
        return self._lane(lane).roadblock.fid

    def lane_path(self, lane: int) -> NDArray[np.float64]:
        """See `RoadGraph`."""
        return self._lane(lane).path

    def lane_length(self, lane: int) -> float:
        """See `RoadGraph`."""
        return self._lane(lane).length_m

    def lane_polygon(self, lane: int) -> shapely.Polygon:
        """See `RoadGraph`."""
        return self._lane(lane).polygon

    def speed_limit(self, lane: int) -> float | None:
        """See `RoadGraph`."""
        return self._lane(lane).speed_limit_mps

    def _block(self, fid: int) -> Roadblock:
        """A block; an id outside the map, to which a connector may lead, counts as a roadblock without lanes."""
        if fid not in self._blocks:
            self._blocks[fid] = self._map.find_roadblock(fid) or self._map.roadblock(fid)
        return self._blocks[fid]

    def _lane(self, fid: int) -> LaneEdge:
        if fid not in self._lanes:
            self._lanes[fid] = self._map.find_lane_edge(fid) or self._map.lane(fid)
        return self._lanes[fid]

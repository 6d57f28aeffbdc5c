"""`RoadGraph`: what route and centreline ask of a map, by feature id.

A *block* is a roadblock or a roadblock connector, a *lane* a lane or a lane connector.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.maps.graph import LaneEdge, LaneGraph, Roadblock
from navforge.maps.schema import Layer


class RoadGraph:
    """Blocks and lanes of a map and how they follow each other. Lists are in file order unless said otherwise."""

    def __init__(self, graph: LaneGraph) -> None:
        self._graph = graph

    def has_block(self, block: int) -> bool:
        """Whether the map has a roadblock or roadblock connector of this id."""
        return self._graph.find_roadblock(block) is not None

    def is_connector(self, block: int) -> bool:
        """Whether the block is a roadblock connector."""
        return self._block(block).is_connector

    def next_blocks(self, block: int) -> tuple[int, ...]:
        """Blocks that follow."""
        return tuple(following.fid for following in self._block(block).outgoing)

    def previous_blocks(self, block: int) -> tuple[int, ...]:
        """Blocks that lead here."""
        return tuple(before.fid for before in self._block(block).incoming)

    def lanes_of(self, block: int) -> tuple[int, ...]:
        """Lanes of a roadblock, lane connectors of a roadblock connector."""
        return tuple(lane.fid for lane in self._block(block).interior)

    def block_polygon(self, block: int) -> shapely.Polygon:
        """Area of a block."""
        return self._block(block).polygon

    def blocks_near(self, x: float, y: float, radius_m: float) -> list[int]:
        """Blocks that touch the square of half width `radius_m` around a point: first roadblocks, then connectors."""
        layers = (Layer.ROADBLOCK, Layer.ROADBLOCK_CONNECTOR)
        return [int(fid) for layer in layers for fid in self._graph.map.near(layer, x, y, radius_m)]

    def nearest_blocks(self, x: float, y: float) -> list[int]:
        """The nearest roadblock and the nearest roadblock connector, as far as the map has any."""
        layers = (Layer.ROADBLOCK, Layer.ROADBLOCK_CONNECTOR)
        return [self._graph.map.nearest(layer, x, y)[0] for layer in layers if len(self._graph.map.layer(layer))]

    def next_lanes(self, lane: int) -> tuple[int, ...]:
        """Lanes that follow."""
        return tuple(following.fid for following in self._lane(lane).outgoing)

    def block_of(self, lane: int) -> int:
        """The block a lane belongs to."""
        return self._lane(lane).roadblock.fid

    def lane_path(self, lane: int) -> NDArray[np.float64]:
        """(M, 3) poses of the lane's baseline."""
        return self._lane(lane).path

    def lane_length(self, lane: int) -> float:
        """Length of the baseline in m."""
        return self._lane(lane).length_m

    def lane_polygon(self, lane: int) -> shapely.Polygon:
        """Area of a lane."""
        return self._lane(lane).polygon

    def speed_limit(self, lane: int) -> float | None:
        """Speed limit in m/s; None where the map has none."""
        return self._lane(lane).speed_limit_mps

    def _block(self, fid: int) -> Roadblock:
        """A block; an id outside the map, to which a connector may lead, counts as a roadblock without lanes."""
        return self._graph.find_roadblock(fid) or self._graph.roadblock(fid)

    def _lane(self, fid: int) -> LaneEdge:
        return self._graph.find_lane_edge(fid) or self._graph.lane(fid)

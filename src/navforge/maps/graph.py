"""The lane graph and the roadblock graph, as objects over map layers; every list is in nuplan-devkit's order.

Kind and feature id identify an edge, and the graph keeps one object per edge. What an edge leads to may lie outside the
map: then its graph neighbours are empty and its geometry raises `DataError`, as it does upstream.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.maps.flat import discrete_path
from navforge.maps.layers import LayerTable
from navforge.maps.map import Map
from navforge.maps.schema import Layer


class LaneGraph:
    """Lanes and roadblocks of a map with their connectors; one object per feature."""

    def __init__(self, road_map: Map) -> None:
        self.map = road_map
        self._edges: dict[tuple[bool, int], LaneEdge] = {}
        self._roadblocks: dict[tuple[bool, int], Roadblock] = {}

    def lane(self, fid: int) -> LaneEdge:
        """The lane with this feature id, whether or not the map holds it."""
        return self._edge(fid, is_connector=False)

    def lane_connector(self, fid: int) -> LaneEdge:
        """The lane connector with this feature id, whether or not the map holds it."""
        return self._edge(fid, is_connector=True)

    def find_lane_edge(self, fid: int) -> LaneEdge | None:
        """The lane with this feature id, else the lane connector, else None."""
        if fid in self.map.layer(Layer.LANE):
            return self.lane(fid)
        return self.lane_connector(fid) if fid in self.map.layer(Layer.LANE_CONNECTOR) else None

    def roadblock(self, fid: int) -> Roadblock:
        """The roadblock with this feature id, whether or not the map holds it."""
        return self._block(fid, is_connector=False)

    def roadblock_connector(self, fid: int) -> Roadblock:
        """The roadblock connector with this feature id, whether or not the map holds it."""
        return self._block(fid, is_connector=True)

    def find_roadblock(self, fid: int) -> Roadblock | None:
        """The roadblock with this feature id, else the roadblock connector, else None."""
        if fid in self.map.layer(Layer.ROADBLOCK):
            return self.roadblock(fid)
        return self.roadblock_connector(fid) if fid in self.map.layer(Layer.ROADBLOCK_CONNECTOR) else None

    def _edge(self, fid: int, *, is_connector: bool) -> LaneEdge:
        key = (is_connector, int(fid))
        if key not in self._edges:
            self._edges[key] = LaneEdge(self, int(fid), is_connector)
        return self._edges[key]

    def _block(self, fid: int, *, is_connector: bool) -> Roadblock:
        key = (is_connector, int(fid))
        if key not in self._roadblocks:
            self._roadblocks[key] = Roadblock(self, int(fid), is_connector)
        return self._roadblocks[key]


@lru_cache(maxsize=8)
def lane_graph(road_map: Map) -> LaneGraph:
    """The lane graph of a map; one object per map and process."""
    return LaneGraph(road_map)


@dataclass(frozen=True, eq=False)
class _Element(ABC):
    """A feature of the graph, or a connector of such features."""

    graph: LaneGraph = field(repr=False)
    fid: int
    is_connector: bool

    @property
    def id(self) -> str:
        """The feature id as logs and caches spell it."""
        return str(self.fid)

    @property
    @abstractmethod
    def _table(self) -> LayerTable:
        """The layer that holds the feature."""

    @cached_property
    def _row(self) -> int:
        return self._table.row(self.fid)

    def _fid_in(self, column: str) -> int:
        """Feature id that the own row holds."""
        return int(self._table.column(column)[self._row])

    def _fids_of(self, layer: Layer, column: str) -> list[int]:
        """Features of a layer whose column holds the own id, in file order."""
        return [int(fid) for fid in self.graph.map.layer(layer).fids_where(column, self.fid)]


class LaneEdge(_Element):
    """A lane or a lane connector."""

    @cached_property
    def roadblock(self) -> Roadblock:
        """The roadblock of a lane, the roadblock connector of a lane connector."""
        column = "lane_group_connector_fid" if self.is_connector else "lane_group_fid"
        fid = self._fid_in(column)
        return self.graph.roadblock_connector(fid) if self.is_connector else self.graph.roadblock(fid)

    @cached_property
    def incoming(self) -> tuple[LaneEdge, ...]:
        """Edges that lead here: connectors of a lane, the one lane of a connector."""
        return self._neighbours(own="exit_lane_fid", others="entry_lane_fid")

    @cached_property
    def outgoing(self) -> tuple[LaneEdge, ...]:
        """Edges that follow: connectors of a lane, the one lane of a connector."""
        return self._neighbours(own="entry_lane_fid", others="exit_lane_fid")

    @cached_property
    def polygon(self) -> shapely.Polygon:
        """Area; a lane connector's comes from the layer of scaled-width polygons."""
        if not self.is_connector:
            return self._table.geometry[self._row]
        table = self.graph.map.layer(Layer.LANE_CONNECTOR_POLYGON)
        return table.geometry[table.one_where("lane_connector_fid", self.fid)]

    @cached_property
    def line(self) -> shapely.LineString:
        """Baseline path: the line along the middle, in driving direction."""
        column = "lane_connector_fid" if self.is_connector else "lane_fid"
        table = self.graph.map.layer(Layer.BASELINE_PATH)
        return table.geometry[table.one_where(column, self.fid)]

    @cached_property
    def path(self) -> NDArray[np.float64]:
        """(V, 3) x, y, heading along the baseline path, as nuPlan's `discrete_path`."""
        return discrete_path(shapely.get_coordinates(self.line))

    @cached_property
    def length_m(self) -> float:
        """Length of the baseline path."""
        return float(self.line.length)

    @cached_property
    def speed_limit_mps(self) -> float | None:
        """Speed limit, None where the map knows none."""
        limit = float(self._table.column("speed_limit_mps")[self._row])
        return None if np.isnan(limit) else limit

    @property
    def _table(self) -> LayerTable:
        return self.graph.map.layer(Layer.LANE_CONNECTOR if self.is_connector else Layer.LANE)

    def _neighbours(self, own: str, others: str) -> tuple[LaneEdge, ...]:
        if self.is_connector:
            return (self.graph.lane(self._fid_in(own)),)
        return tuple(map(self.graph.lane_connector, self._fids_of(Layer.LANE_CONNECTOR, others)))


class Roadblock(_Element):
    """A roadblock (parallel lanes) or a roadblock connector (parallel lane connectors)."""

    @cached_property
    def incoming(self) -> tuple[Roadblock, ...]:
        """Connectors that lead to a roadblock; the one roadblock a connector comes from."""
        return self._neighbours(own="from_lane_group_fid", others="to_lane_group_fid")

    @cached_property
    def outgoing(self) -> tuple[Roadblock, ...]:
        """Connectors that leave a roadblock; the one roadblock a connector leads to."""
        return self._neighbours(own="to_lane_group_fid", others="from_lane_group_fid")

    @cached_property
    def interior(self) -> tuple[LaneEdge, ...]:
        """Lanes of a roadblock, lane connectors of a roadblock connector, in file order."""
        if self.is_connector:
            fids = self._fids_of(Layer.LANE_CONNECTOR, "lane_group_connector_fid")
            return tuple(map(self.graph.lane_connector, fids))
        return tuple(map(self.graph.lane, self._fids_of(Layer.LANE, "lane_group_fid")))

    @cached_property
    def polygon(self) -> shapely.Polygon:
        """Area."""
        return self._table.geometry[self._row]

    @property
    def _table(self) -> LayerTable:
        return self.graph.map.layer(Layer.ROADBLOCK_CONNECTOR if self.is_connector else Layer.ROADBLOCK)

    def _neighbours(self, own: str, others: str) -> tuple[Roadblock, ...]:
        if self.is_connector:
            return (self.graph.roadblock(self._fid_in(own)),)
        return tuple(map(self.graph.roadblock_connector, self._fids_of(Layer.ROADBLOCK_CONNECTOR, others)))

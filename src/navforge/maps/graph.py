"""The lane graph and the roadblock graph, as objects over map layers; every list is in nuplan-devkit's order.

An edge is known by its kind and feature id alone, and the map keeps one object per edge. What an edge leads to may
lie outside the map: then its graph neighbours are empty and its geometry raises `DataError`, as it does upstream.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from navforge.maps.flat import discrete_path
from navforge.maps.schema import Layer

if TYPE_CHECKING:
    from navforge.maps.layers import LayerTable
    from navforge.maps.map import Map


@dataclass(frozen=True, eq=False)
class LaneEdge:
    """A lane or a lane connector."""

    map: Map = field(repr=False)
    fid: int
    is_connector: bool

    @property
    def id(self) -> str:
        """The feature id as logs and caches spell it."""
        return str(self.fid)

    @cached_property
    def roadblock(self) -> Roadblock:
        """The roadblock of a lane, the roadblock connector of a lane connector."""
        column = "lane_group_connector_fid" if self.is_connector else "lane_group_fid"
        fid = int(self._table.column(column)[self._row])
        return self.map.roadblock_connector(fid) if self.is_connector else self.map.roadblock(fid)

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
        table = self.map.layer(Layer.LANE_CONNECTOR_POLYGON)
        return table.geometry[self._connector_polygon_row]

    @cached_property
    def line(self) -> shapely.LineString:
        """Baseline path: the line along the middle, in driving direction."""
        column = "lane_connector_fid" if self.is_connector else "lane_fid"
        table = self.map.layer(Layer.BASELINE_PATH)
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
    def left_boundary(self) -> shapely.LineString:
        """Left boundary line."""
        return self._boundary("left_boundary_fid")

    @cached_property
    def right_boundary(self) -> shapely.LineString:
        """Right boundary line."""
        return self._boundary("right_boundary_fid")

    @cached_property
    def speed_limit_mps(self) -> float | None:
        """Speed limit, None where the map knows none."""
        limit = float(self._table.column("speed_limit_mps")[self._row])
        return None if np.isnan(limit) else limit

    @cached_property
    def lane_index(self) -> int | None:
        """Position in the roadblock counted from 1 at the left; None for a connector."""
        return None if self.is_connector else int(self._table.column("lane_index")[self._row])

    @cached_property
    def adjacent(self) -> tuple[LaneEdge | None, LaneEdge | None]:
        """Left and right neighbour lane of the same roadblock; connectors have none (the map does not say)."""
        if self.lane_index is None:
            return None, None
        by_index = {lane.lane_index: lane for lane in self.roadblock.interior}
        return by_index.get(self.lane_index - 1), by_index.get(self.lane_index + 1)

    @cached_property
    def has_traffic_light(self) -> bool:
        """Whether a stop polygon with a traffic light is associated."""
        return self.is_connector and bool(self._stop_line_text)

    @cached_property
    def stop_lines(self) -> tuple[int, ...]:
        """Feature ids of the stop polygons that apply to this connector.

        Those of its traffic light that the baseline path crosses; else the one nearest to its start.
        """
        if not self.is_connector:
            return ()
        table = self.map.layer(Layer.STOP_POLYGON)
        fids = [int(word) for word in self._stop_line_text.replace(" ", "").split(",") if word]
        if not fids:
            return ()
        polygons = table.geometry[[table.row(fid) for fid in fids]]
        crossed = shapely.intersects(polygons, self.line)
        if crossed.any():
            return tuple(fid for fid, hit in zip(fids, crossed, strict=True) if hit)
        start = shapely.Point(shapely.get_coordinates(self.line)[0])
        return (fids[int(np.argmin(shapely.distance(start, polygons)))],)

    @property
    def _table(self) -> LayerTable:
        return self.map.layer(Layer.LANE_CONNECTOR if self.is_connector else Layer.LANE)

    @cached_property
    def _row(self) -> int:
        return self._table.row(self.fid)

    @cached_property
    def _connector_polygon_row(self) -> int:
        return self.map.layer(Layer.LANE_CONNECTOR_POLYGON).one_where("lane_connector_fid", self.fid)

    @cached_property
    def _stop_line_text(self) -> str:
        return str(self._table.column("traffic_light_stop_line_fids")[self._row])

    def _neighbours(self, own: str, others: str) -> tuple[LaneEdge, ...]:
        if self.is_connector:
            return (self.map.lane(int(self._table.column(own)[self._row])),)
        fids = self.map.layer(Layer.LANE_CONNECTOR).fids_where(others, self.fid)
        return tuple(self.map.lane_connector(int(fid)) for fid in fids)

    def _boundary(self, column: str) -> shapely.LineString:
        if self.is_connector:
            fids = self.map.layer(Layer.LANE_CONNECTOR_POLYGON).column(column)
            fid = int(fids[self._connector_polygon_row])
        else:
            fid = int(self._table.column(column)[self._row])
        table = self.map.layer(Layer.BOUNDARY)
        return table.geometry[table.row(fid)]


@dataclass(frozen=True, eq=False)
class Roadblock:
    """A roadblock (parallel lanes) or a roadblock connector (parallel lane connectors)."""

    map: Map = field(repr=False)
    fid: int
    is_connector: bool

    @property
    def id(self) -> str:
        """The feature id as logs and caches spell it."""
        return str(self.fid)

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
            fids = self.map.layer(Layer.LANE_CONNECTOR).fids_where("lane_group_connector_fid", self.fid)
            return tuple(self.map.lane_connector(int(fid)) for fid in fids)
        fids = self.map.layer(Layer.LANE).fids_where("lane_group_fid", self.fid)
        return tuple(self.map.lane(int(fid)) for fid in fids)

    @cached_property
    def polygon(self) -> shapely.Polygon:
        """Area."""
        return self._table.geometry[self._table.row(self.fid)]

    @cached_property
    def intersection_fid(self) -> int:
        """Intersection a connector lies in; 0 or negative: none. Roadblocks have none."""
        if not self.is_connector:
            return 0
        return int(self._table.column("intersection_fid")[self._table.row(self.fid)])

    @property
    def _table(self) -> LayerTable:
        return self.map.layer(Layer.ROADBLOCK_CONNECTOR if self.is_connector else Layer.ROADBLOCK)

    def _neighbours(self, own: str, others: str) -> tuple[Roadblock, ...]:
        if self.is_connector:
            return (self.map.roadblock(int(self._table.column(own)[self._table.row(self.fid)])),)
        fids = self.map.layer(Layer.ROADBLOCK_CONNECTOR).fids_where(others, self.fid)
        return tuple(self.map.roadblock_connector(int(fid)) for fid in fids)

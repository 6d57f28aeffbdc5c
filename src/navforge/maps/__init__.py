"""nuPlan GeoPackage maps: layers as flat arrays, the lane graph, spatial queries."""

from navforge.maps.graph import LaneEdge, LaneGraph, Roadblock, lane_graph
from navforge.maps.map import Map, read_map
from navforge.maps.schema import Layer

__all__ = ["LaneEdge", "LaneGraph", "Layer", "Map", "Roadblock", "lane_graph", "read_map"]

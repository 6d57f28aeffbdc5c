"""nuPlan GeoPackage maps: layers as flat arrays, the lane graph, spatial queries."""

from navforge.maps.graph import LaneEdge, Roadblock
from navforge.maps.map import Map, read_map
from navforge.maps.schema import Layer

__all__ = ["LaneEdge", "Layer", "Map", "Roadblock", "read_map"]

"""Layers and columns of a nuPlan map file (`map.gpkg`): the one table that map readers and map writers share.

A map root holds `nuplan-maps-v1.0.json` (location -> version) and `<location>/<version>/map.gpkg`. Every geometry is
in EPSG:4326 (x longitude, y latitude); the table `meta` (columns key, value) names the metric CRS under the key
`projectedCoordSystem`, such as `EPSG:32617`. `fid` is the GeoPackage's own feature id of each layer, not a column.
Feature ids are distinct across lanes and lane connectors, and across roadblocks and roadblock connectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

INDEX_FILE = "nuplan-maps-v1.0.json"
MAP_FILE = "map.gpkg"
GEOGRAPHIC_CRS = "EPSG:4326"
META_LAYER = "meta"
META_CRS_KEY = "projectedCoordSystem"

LOCATIONS = ("sg-one-north", "us-ma-boston", "us-nv-las-vegas-strip", "us-pa-pittsburgh-hazelwood")
"""The map locations NAVSIM accepts; its loader opens all four."""

LOCATION_ALIASES = {"las_vegas": "us-nv-las-vegas-strip"}
"""Names some logs use for a location."""


class Layer(StrEnum):
    """Layers by what they hold; the value is the layer's name in the file."""

    LANE = "lanes_polygons"
    LANE_CONNECTOR = "lane_connectors"
    LANE_CONNECTOR_POLYGON = "gen_lane_connectors_scaled_width_polygons"
    ROADBLOCK = "lane_groups_polygons"
    ROADBLOCK_CONNECTOR = "lane_group_connectors"
    BASELINE_PATH = "baseline_paths"
    BOUNDARY = "boundaries"
    INTERSECTION = "intersections"
    GENERIC_DRIVABLE_AREA = "generic_drivable_areas"
    ROAD_SEGMENT = "road_segments"
    CARPARK_AREA = "carpark_areas"
    CROSSWALK = "crosswalks"
    WALKWAY = "walkways"
    STOP_POLYGON = "stop_polygons"
    TRAFFIC_LIGHT = "traffic_lights"


SCENE_LAYERS = (
    Layer.LANE,
    Layer.LANE_CONNECTOR,
    Layer.LANE_CONNECTOR_POLYGON,
    Layer.ROADBLOCK,
    Layer.ROADBLOCK_CONNECTOR,
    Layer.BASELINE_PATH,
    Layer.INTERSECTION,
    Layer.CARPARK_AREA,
)
"""Layers that the metric cache of a scene is built from; a test compares them with those that are read."""


class Geometry(StrEnum):
    """Geometry type of a layer, as OGR names it."""

    POLYGON = "Polygon"
    LINE = "LineString"
    POINT = "Point"


class Kind(StrEnum):
    """Type of a column's values."""

    FID = "int64"
    """A feature id or enumeration; a missing value reads as `NO_FID`."""
    NUMBER = "float64"
    """NaN where missing."""
    TEXT = "text"


NO_FID = -1
"""What the reader puts for a missing value of a `Kind.FID` column."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a layer."""

    name: str
    kind: Kind
    is_read: bool = False
    """Readers use it, and refuse a file without it; writers write every column."""


@dataclass(frozen=True, slots=True)
class LayerSchema:
    """Geometry type and columns of one layer."""

    layer: Layer
    geometry: Geometry
    columns: tuple[Column, ...] = ()

    @property
    def name(self) -> str:
        """The layer's name in the file."""
        return self.layer.value


def _read(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.FID, is_read=True) for name in names)


def _unread(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, Kind.FID) for name in names)


_SPEED_LIMIT = Column("speed_limit_mps", Kind.NUMBER, is_read=True)

SCHEMAS: dict[Layer, LayerSchema] = {
    schema.layer: schema
    for schema in (
        # lane_fid repeats fid; lane_index counts from 1 at the left.
        LayerSchema(
            Layer.LANE,
            Geometry.POLYGON,
            (
                *_unread("lane_fid"),
                *_read("lane_group_fid"),
                *_unread("lane_index", "lane_type_fid", "left_boundary_fid", "right_boundary_fid"),
                _SPEED_LIMIT,
            ),
        ),
        # The names are historical: a connector starts at the lane it *exits* and ends at the lane it *enters*.
        # traffic_light_stop_line_fids: comma-separated fids of stop polygons, empty without a traffic light.
        LayerSchema(
            Layer.LANE_CONNECTOR,
            Geometry.LINE,
            (
                *_read("exit_lane_fid", "entry_lane_fid"),
                *_unread("exit_lane_group_fid", "entry_lane_group_fid"),
                *_read("lane_group_connector_fid"),
                *_unread("intersection_fid"),
                Column("traffic_light_stop_line_fids", Kind.TEXT),
                _SPEED_LIMIT,
            ),
        ),
        LayerSchema(
            Layer.LANE_CONNECTOR_POLYGON,
            Geometry.POLYGON,
            (*_read("lane_connector_fid"), *_unread("left_boundary_fid", "right_boundary_fid")),
        ),
        LayerSchema(Layer.ROADBLOCK, Geometry.POLYGON, _unread("lane_group_fid")),
        # intersection_fid 0: outside any intersection.
        LayerSchema(
            Layer.ROADBLOCK_CONNECTOR,
            Geometry.POLYGON,
            (*_read("from_lane_group_fid", "to_lane_group_fid"), *_unread("intersection_fid")),
        ),
        # Exactly one of lane_fid and lane_connector_fid is given.
        LayerSchema(
            Layer.BASELINE_PATH,
            Geometry.LINE,
            (*_read("lane_fid", "lane_connector_fid"), *_unread("path_type_fid")),
        ),
        LayerSchema(Layer.BOUNDARY, Geometry.LINE, _unread("boundary_type_fid")),
        LayerSchema(Layer.INTERSECTION, Geometry.POLYGON, _unread("intersection_type_fid")),
        LayerSchema(Layer.GENERIC_DRIVABLE_AREA, Geometry.POLYGON, _unread("drivable_type_fid")),
        LayerSchema(Layer.ROAD_SEGMENT, Geometry.POLYGON, _unread("road_type_fid")),
        LayerSchema(
            Layer.CARPARK_AREA,
            Geometry.POLYGON,
            (Column("heading", Kind.NUMBER),),
        ),
        LayerSchema(Layer.CROSSWALK, Geometry.POLYGON, _unread("crosswalk_type_fid")),
        LayerSchema(Layer.WALKWAY, Geometry.POLYGON, _unread("walkway_type_fid")),
        LayerSchema(
            Layer.STOP_POLYGON,
            Geometry.POLYGON,
            _unread("stop_polygon_type_fid", "intersection_fid"),
        ),
        LayerSchema(Layer.TRAFFIC_LIGHT, Geometry.POINT, _unread("stop_polygon_fid")),
    )
}
"""Every layer navforge knows, in the order a writer writes them."""


class StopType(IntEnum):
    """Meaning of `stop_polygon_type_fid`."""

    PEDESTRIAN_CROSSING = 0
    STOP_SIGN = 1
    TRAFFIC_LIGHT = 2
    TURN_STOP = 3
    YIELD = 4
    UNKNOWN = 5

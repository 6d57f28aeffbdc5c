"""Writes a `TownMap` as nuPlan's `map.gpkg`, byte for byte the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from navforge.core.files import atomic_path, write_json
from navforge.maps.schema import (
    GEOGRAPHIC_CRS,
    INDEX_FILE,
    MAP_FILE,
    META_CRS_KEY,
    META_LAYER,
    SCHEMAS,
    Kind,
    Layer,
    LayerSchema,
    StopType,
)
from navforge.town.world import TownMap

Float = NDArray[np.float64]

VERSIONS = {
    "us-pa-pittsburgh-hazelwood": "9.17.1937",
    "us-ma-boston": "9.12.1817",
    "sg-one-north": "9.17.1964",
    "us-nv-las-vegas-strip": "9.15.1915",
}
"""Every location NAVSIM opens, with the map version the official index names."""

METRIC_CRS = {
    "us-pa-pittsburgh-hazelwood": "EPSG:32617",
    "us-ma-boston": "EPSG:32619",
    "sg-one-north": "EPSG:32648",
    "us-nv-las-vegas-strip": "EPSG:32611",
}

ORIGIN_M = {
    "us-pa-pittsburgh-hazelwood": (587400.0, 4475700.0),
    "us-ma-boston": (331800.0, 4690700.0),
    "sg-one-north": (365000.0, 143000.0),
    "us-nv-las-vegas-strip": (664000.0, 3998000.0),
}
"""Where a town lies, in the location's metric CRS: in the middle of the real city."""

_BOUNDARY_FID, _BASELINE_FID, _ROAD_SEGMENT_FID, _WALKWAY_FID = 100001, 300001, 400001, 85001
_FIXED_DATE = "2024-01-01T00:00:00.000Z"
_MISSING = None


@dataclass
class _Table:
    fid: list[int] = field(default_factory=list)
    geometry: list[shapely.Geometry] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, fid: int, geometry: shapely.Geometry, **row: Any) -> None:
        self.fid.append(fid)
        self.geometry.append(geometry)
        self.rows.append(row)


def write_maps(root: Path, towns: Sequence[TownMap]) -> None:
    """Write the map root: the index, one map per town, and for every other location a map with one connector.

    NAVSIM's loader opens all four locations whatever a log needs; the lone connector satisfies it.
    """
    written = {town.location: town for town in towns}
    for location, version in VERSIONS.items():
        path = root / location / version / MAP_FILE
        if location in written:
            _write(path, tables(written[location]), METRIC_CRS[location], written[location].origin)
        else:
            _write(path, _stub(), METRIC_CRS[location], np.array(ORIGIN_M[location]))
    write_json(root / INDEX_FILE, {name: {"version": version, "layers": {}} for name, version in VERSIONS.items()})


def tables(town: TownMap) -> dict[Layer, _Table]:
    """Features of every layer in the town frame, columns as `maps.schema` names them."""
    found = {layer: _Table() for layer in SCHEMAS}
    _add_lanes(found, town)
    _add_connectors(found, town)
    for block in town.roadblocks.values():
        found[Layer.ROADBLOCK].add(block.fid, shapely.Polygon(block.polygon), lane_group_fid=block.fid)
        segment = _ROAD_SEGMENT_FID + len(found[Layer.ROAD_SEGMENT].fid)
        found[Layer.ROAD_SEGMENT].add(segment, shapely.Polygon(block.polygon), road_type_fid=1)
    for area in town.intersections.values():
        kind = 1 if area.lit else 2
        found[Layer.INTERSECTION].add(area.fid, shapely.Polygon(area.polygon), intersection_type_fid=kind)
    for park in town.carparks:
        found[Layer.CARPARK_AREA].add(park.fid, shapely.Polygon(park.polygon), heading=park.heading)
    for walk in town.crosswalks:
        found[Layer.CROSSWALK].add(walk.fid, shapely.Polygon(walk.polygon), crosswalk_type_fid=1)
    for number, ring in enumerate(town.walkways):
        found[Layer.WALKWAY].add(_WALKWAY_FID + number, shapely.Polygon(ring), walkway_type_fid=1)
    for stop in town.stop_lines.values():
        lit = town.intersections[stop.intersection].lit
        kind = StopType.TRAFFIC_LIGHT if lit else StopType.YIELD
        found[Layer.STOP_POLYGON].add(
            stop.fid,
            shapely.Polygon(stop.polygon),
            stop_polygon_type_fid=int(kind),
            intersection_fid=stop.intersection,
        )
    for head in town.light_heads:
        found[Layer.TRAFFIC_LIGHT].add(head.fid, shapely.Point(head.position[:2]), stop_polygon_fid=head.stop_line)
    return found


def _add_lanes(found: dict[Layer, _Table], town: TownMap) -> None:
    for lane in town.lanes.values():
        left, right = _add_boundaries(found, lane.left, lane.right)
        found[Layer.LANE].add(
            lane.fid,
            shapely.Polygon(lane.polygon),
            lane_fid=lane.fid,
            lane_group_fid=lane.roadblock,
            lane_index=lane.index + 1,
            lane_type_fid=0,
            left_boundary_fid=left,
            right_boundary_fid=right,
            speed_limit_mps=lane.speed_limit,
        )
        baseline = _BASELINE_FID + len(found[Layer.BASELINE_PATH].fid)
        found[Layer.BASELINE_PATH].add(
            baseline,
            shapely.LineString(lane.centre),
            lane_fid=lane.fid,
            lane_connector_fid=_MISSING,
            path_type_fid=0,
        )


def _add_connectors(found: dict[Layer, _Table], town: TownMap) -> None:
    for connector in town.connectors.values():
        line = shapely.LineString(connector.centre)
        found[Layer.LANE_CONNECTOR].add(
            connector.fid,
            line,
            exit_lane_fid=connector.from_lane,
            entry_lane_fid=connector.to_lane,
            exit_lane_group_fid=town.lanes[connector.from_lane].roadblock,
            entry_lane_group_fid=town.lanes[connector.to_lane].roadblock,
            lane_group_connector_fid=connector.roadblock,
            intersection_fid=connector.intersection,
            traffic_light_stop_line_fids=str(connector.stop_line) if connector.lit else "",
            speed_limit_mps=connector.speed_limit,
        )
        left, right = _add_boundaries(found, connector.left, connector.right)
        found[Layer.LANE_CONNECTOR_POLYGON].add(
            connector.polygon_fid,
            shapely.Polygon(connector.polygon),
            lane_connector_fid=connector.fid,
            left_boundary_fid=left,
            right_boundary_fid=right,
        )
        baseline = _BASELINE_FID + len(found[Layer.BASELINE_PATH].fid)
        found[Layer.BASELINE_PATH].add(
            baseline, line, lane_fid=_MISSING, lane_connector_fid=connector.fid, path_type_fid=0
        )
    for block in town.roadblock_connectors.values():
        found[Layer.ROADBLOCK_CONNECTOR].add(
            block.fid,
            shapely.Polygon(block.polygon),
            from_lane_group_fid=block.from_roadblock,
            to_lane_group_fid=block.to_roadblock,
            intersection_fid=block.intersection,
        )


def _add_boundaries(found: dict[Layer, _Table], left: Float, right: Float) -> tuple[int, int]:
    table = found[Layer.BOUNDARY]
    fids = (_BOUNDARY_FID + len(table.fid), _BOUNDARY_FID + len(table.fid) + 1)
    for fid, line in zip(fids, (left, right), strict=True):
        table.add(fid, shapely.LineString(line), boundary_type_fid=1)
    return fids


def _stub() -> dict[Layer, _Table]:
    table = _Table()
    table.add(
        10001,
        shapely.LineString([(0.0, 0.0), (1.0, 0.0)]),
        exit_lane_fid=0,
        entry_lane_fid=0,
        exit_lane_group_fid=0,
        entry_lane_group_fid=0,
        lane_group_connector_fid=0,
        intersection_fid=0,
        traffic_light_stop_line_fids="",
        speed_limit_mps=None,
    )
    return {Layer.LANE_CONNECTOR: table}


def _write(path: Path, features: dict[Layer, _Table], crs: str, origin: Float) -> None:
    to_degrees = Transformer.from_crs(crs, GEOGRAPHIC_CRS, always_xy=True)
    # GDAL stamps files with the time of writing; a fixed date keeps equal maps equal.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _FIXED_DATE})
    with atomic_path(path) as partial:
        partial.unlink()
        target = partial.with_suffix(".gpkg")
        try:
            for layer, table in features.items():
                _write_layer(target, SCHEMAS[layer], table, to_degrees, origin)
            _write_meta(target, {META_CRS_KEY: crs, "source": "navforge town"})
            target.rename(partial)
        finally:
            target.unlink(missing_ok=True)


def _write_layer(target: Path, schema: LayerSchema, table: _Table, to_degrees: Transformer, origin: Float) -> None:
    def geographic(xy: Float) -> Float:
        return np.column_stack(to_degrees.transform(xy[:, 0] + origin[0], xy[:, 1] + origin[1]))

    geometry = shapely.transform(np.array(table.geometry, dtype=object), geographic)
    columns: list[NDArray[Any]] = [np.array(table.fid, dtype=np.int64)]
    masks: list[NDArray[np.bool_] | None] = [None]
    for column in schema.columns:
        values = [row[column.name] for row in table.rows]
        missing = np.array([value is None for value in values], dtype=bool)
        if column.kind is Kind.TEXT:
            columns.append(np.array(values, dtype=object))
            masks.append(None)
        elif column.kind is Kind.NUMBER or (column.name in ("lane_fid", "lane_connector_fid") and missing.any()):
            # nuPlan stores the two nullable fids of baseline paths as real numbers.
            columns.append(np.array([np.nan if value is None else value for value in values], dtype=np.float64))
            masks.append(missing if missing.any() else None)
        else:
            columns.append(np.array(values, dtype=np.int64))
            masks.append(None)
    pyogrio.raw.write(
        target,
        shapely.to_wkb(geometry),
        columns,
        ["fid", *(column.name for column in schema.columns)],
        field_mask=masks,
        layer=schema.name,
        driver="GPKG",
        geometry_type=schema.geometry.value,
        crs=GEOGRAPHIC_CRS,
        append=target.exists(),
        layer_options={"FID": "fid", "GEOMETRY_NAME": "geom"},
    )


def _write_meta(target: Path, entries: dict[str, str]) -> None:
    pyogrio.raw.write(
        target,
        None,
        [np.array(list(entries), dtype=object), np.array(list(entries.values()), dtype=object)],
        ["key", "value"],
        layer=META_LAYER,
        driver="GPKG",
        append=True,
        layer_options={"FID": "fid"},
    )

"""A map small enough to check by hand, written to a real GeoPackage.

Two roadblocks of two lanes each run east, joined by a connector (metres from `ORIGIN`; lane 1 is the left one):

    y  3 +-----------------+------+-----------------+
         | lane 31         | 11   | lane 33         |
    y  0 +-----------------+------+-----------------+
         | lane 32         | 12   | lane 34         |
    y -3 +-----------------+------+-----------------+
         0   roadblock 61  50 21 60   roadblock 62 110

Lanes 31 and 33 have a speed limit of 10 m/s, the others none. Connector 11 has a stop polygon across its start (81) and
one far behind (82); connector 12 names the same two, 81 not across its line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pyproj
import shapely

from navforge.maps.schema import INDEX_FILE, SCHEMAS, Kind, Layer

CRS = "EPSG:32617"
LOCATION = "us-pa-pittsburgh-hazelwood"
VERSION = "1.0"
ORIGIN = (587400.0, 4475700.0)

Features = dict[Layer, list[tuple[int, shapely.Geometry, dict[str, Any]]]]


def box(x0: float, y0: float, x1: float, y1: float) -> shapely.Polygon:
    return shapely.Polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def tiny_features() -> Features:
    lanes, connectors, areas, paths, boundaries = [], [], [], [], []
    for fid, group, index, x0, left, limit in (
        (31, 61, 1, 0.0, 3.0, 10.0),
        (32, 61, 2, 0.0, 0.0, None),
        (33, 62, 1, 60.0, 3.0, 10.0),
        (34, 62, 2, 60.0, 0.0, None),
    ):
        lanes.append(
            (
                fid,
                box(x0, left - 3, x0 + 50, left),
                {
                    "lane_fid": fid,
                    "lane_group_fid": group,
                    "lane_index": index,
                    "left_boundary_fid": 100 + fid,
                    "right_boundary_fid": 200 + fid,
                    "speed_limit_mps": limit,
                },
            )
        )
        paths.append(
            (300 + fid, line((x0, left - 1.5), (x0 + 20, left - 1.5), (x0 + 50, left - 1.5)), {"lane_fid": fid})
        )
        boundaries += [
            (100 + fid, line((x0, left), (x0 + 50, left)), {}),
            (200 + fid, line((x0, left - 3), (x0 + 50, left - 3)), {}),
        ]
    for fid, start, end, y, stops in ((11, 31, 33, 1.5, "81, 82"), (12, 32, 34, -1.5, "82,81")):
        path = line((50, y), (60, y))
        attributes = {
            "exit_lane_fid": start,
            "entry_lane_fid": end,
            "lane_group_connector_fid": 21,
            "traffic_light_stop_line_fids": stops,
            "speed_limit_mps": None,
        }
        connectors.append((fid, path, attributes))
        paths.append((300 + fid, path, {"lane_connector_fid": fid}))
        boundaries += [
            (100 + fid, line((50, y + 1.5), (60, y + 1.5)), {}),
            (200 + fid, line((50, y - 1.5), (60, y - 1.5)), {}),
        ]
        areas.append(
            (
                400 + fid,
                box(50, y - 1.5, 60, y + 1.5),
                {"lane_connector_fid": fid, "left_boundary_fid": 100 + fid, "right_boundary_fid": 200 + fid},
            )
        )
    hole = shapely.Polygon([(45, -8), (65, -8), (65, 8), (45, 8)], [[(46, 5), (47, 5), (47, 6)]])
    return {
        Layer.LANE: lanes,
        Layer.LANE_CONNECTOR: connectors,
        Layer.LANE_CONNECTOR_POLYGON: areas,
        Layer.ROADBLOCK: [(61, box(0, -3, 50, 3), {}), (62, box(60, -3, 110, 3), {})],
        Layer.ROADBLOCK_CONNECTOR: [
            (21, box(50, -3, 60, 3), {"from_lane_group_fid": 61, "to_lane_group_fid": 62, "intersection_fid": 41})
        ],
        Layer.BASELINE_PATH: paths,
        Layer.BOUNDARY: boundaries,
        Layer.INTERSECTION: [(41, hole, {})],
        Layer.STOP_POLYGON: [
            (81, box(51, 0.5, 52, 2.5), {"stop_polygon_type_fid": 2}),
            (82, box(40, -20, 41, -19), {"stop_polygon_type_fid": 2}),
        ],
    }


def line(*points: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString(points)


def write_map(root: Path, features: Features | None = None, *, meta: dict[str, str] | None = None) -> Path:
    """Write a map root with one map; return the map file."""
    path = root / LOCATION / VERSION / "map.gpkg"
    path.parent.mkdir(parents=True, exist_ok=True)
    to_degrees = pyproj.Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    for layer, rows in (tiny_features() if features is None else features).items():
        schema = SCHEMAS[layer]
        geometry = shapely.transform(
            np.array([row[1] for row in rows], object),
            lambda xy: np.column_stack(to_degrees.transform(xy[:, 0] + ORIGIN[0], xy[:, 1] + ORIGIN[1])),
        )
        given = [c for c in schema.columns if any(c.name in row[2] for row in rows)]
        values = [np.array([row[0] for row in rows], np.int64)]
        for column in given:
            items = [row[2].get(column.name) for row in rows]
            if column.kind is Kind.TEXT:
                values.append(np.array(items, object))
            elif None in items or column.kind is Kind.NUMBER:
                values.append(np.array([np.nan if item is None else item for item in items], np.float64))
            else:
                values.append(np.array(items, np.int64))
        pyogrio.raw.write(
            path,
            shapely.to_wkb(geometry),
            values,
            ["fid", *(c.name for c in given)],
            layer=schema.name,
            driver="GPKG",
            geometry_type="Unknown",
            crs="EPSG:4326",
            append=path.exists(),
            layer_options={"FID": "fid"},
        )
    entries = {"projectedCoordSystem": CRS} if meta is None else meta
    pyogrio.raw.write(
        path,
        None,
        [np.array(list(entries), object), np.array(list(entries.values()), object)],
        ["key", "value"],
        layer="meta",
        driver="GPKG",
        append=True,
    )
    (root / INDEX_FILE).write_text(json.dumps({LOCATION: {"version": VERSION}}))
    return path

"""nuPlan map files: the version index, the metric CRS, and layers read and projected in one vectorised step each."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pyproj
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError
from pyproj.exceptions import ProjError

from navforge.core.errors import DataError
from navforge.core.outside.files import but_is, inside, open_regular, shown
from navforge.core.outside.text import read_json
from navforge.maps.flat import Geometries
from navforge.maps.layers import LayerTable
from navforge.maps.schema import (
    GEOGRAPHIC_CRS,
    INDEX_FILE,
    LOCATION_ALIASES,
    MAP_FILE,
    META_CRS_KEY,
    META_LAYER,
    NO_FID,
    Column,
    Kind,
    LayerSchema,
)

warnings.filterwarnings("ignore", category=RuntimeWarning, module="pyogrio")  # GDAL's words before it refuses a file

_SQLITE = b"SQLite format 3\x00"


def locations(map_root: Path | str) -> dict[str, str]:
    """Map version of every location that the index of a map root lists.

    Raises:
        DataError: the index is missing or damaged.
    """
    path = Path(map_root) / INDEX_FILE
    index = read_json(path, "map index", missing="point data.maps at its folder")
    for location, entry in index.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("version"), str):
            raise DataError(f"map index {path} is damaged: location {shown(location)} has no version")
    return {location: entry["version"] for location, entry in index.items()}


def map_path(map_root: Path | str, location: str) -> Path:
    """File of a location's map; DataError names the locations there are, or the file that is missing."""
    versions = locations(map_root)
    location = LOCATION_ALIASES.get(location, location)
    if location not in versions:
        raise DataError(f"no map {shown(location)} under {map_root}; its index lists {', '.join(versions)}")
    what = f"map index {Path(map_root) / INDEX_FILE}"
    path = inside(inside(Path(map_root), location, what), versions[location], what) / MAP_FILE
    if not path.is_file():
        raise DataError(f"map file {path} is missing, though the index of {map_root} lists it")
    return path


def check_root(map_root: Path | str) -> None:
    """Whether a folder is a map root at all: an index, and the file of at least one location it lists.

    Raises:
        DataError: it is not; the message says what is missing.
    """
    listed = locations(map_root)
    missing = []
    for location in listed:
        try:
            map_path(map_root, location)
            return
        except DataError as error:
            missing.append(str(error))
    raise DataError(
        missing[0] if missing else f"the map index of {map_root} lists no location; point data.maps at maps"
    )


def read_crs(path: Path | str) -> str:
    """Name of the metric CRS a map file states, such as EPSG:32617."""
    fields, values = _read_raw(path, META_LAYER, None)[:2]
    try:
        table = dict(zip(values[fields.index("key")], values[fields.index("value")], strict=True))
        return str(table[META_CRS_KEY])
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: table {META_LAYER!r} does not state {META_CRS_KEY!r}") from error


def read_layer(path: Path | str, schema: LayerSchema, crs: str) -> LayerTable:
    """Read one layer and project it into the metric CRS.

    Args:
        path: the map file.
        schema: the layer.
        crs: metric CRS of the map.

    Raises:
        DataError: the layer or a column that is read is missing, or a geometry cannot be projected.
    """
    used = [column for column in schema.columns if column.is_read]
    names, values, geometry, fid, own_crs = _read_raw(path, schema.name, [column.name for column in used])
    present = dict(zip(names, values, strict=True))
    if missing := [column.name for column in used if column.name not in present]:
        raise DataError(f"{path}: layer {schema.name} lacks column(s) {', '.join(missing)}")
    columns = {column.name: _typed(present[column.name], column, path, schema) for column in used}
    projected = _project(geometry, own_crs or GEOGRAPHIC_CRS, crs, f"{path}: layer {schema.name}")
    return LayerTable(str(path), schema, fid, projected, columns)


def _read_raw(
    path: Path | str, layer: str, columns: list[str] | None
) -> tuple[list[str], list[NDArray[Any]], Any, NDArray[np.int64], str | None]:
    """Column names and values, WKB geometries, feature ids and CRS of a layer."""
    with open_regular(path, "map file") as file:
        head = file.read(len(_SQLITE))
    if head != _SQLITE:
        raise DataError(f"map file {path} is not a GeoPackage{but_is(head)}; download it again")
    try:
        meta, fid, wkb, values = pyogrio.raw.read(path, layer=layer, columns=columns, return_fids=True)
    except DataLayerError as error:
        raise DataError(f"{path}: no layer {layer!r} in the map file") from error
    except (
        RuntimeError,
        ValueError,
        TypeError,
        MemoryError,
    ) as error:
        # Without the advice of GDAL about drivers.
        raise DataError(f"map file {path} is damaged; download it again") from error
    return list(meta["fields"]), list(values), wkb, np.asarray(fid, np.int64), meta["crs"]


def _project(wkb: Any, source_crs: str, target_crs: str, where: str) -> Geometries:
    if wkb is None:
        raise DataError(f"{where} holds no geometry")
    try:
        geometry: Any = shapely.force_2d(shapely.from_wkb(wkb))
        transformer = pyproj.Transformer.from_crs(source_crs, target_crs, always_xy=True)
        xy = shapely.get_coordinates(geometry)
        projected = np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
    except (shapely.errors.ShapelyError, ProjError) as error:
        raise DataError(f"{where}: {error}") from error
    if not np.isfinite(projected).all():
        raise DataError(f"{where}: some coordinates have no place in {target_crs}")
    return shapely.set_coordinates(geometry, projected)


def _typed(values: NDArray[Any], column: Column, path: Path | str, schema: LayerSchema) -> NDArray[Any]:
    try:
        if values.dtype.kind == "O":
            values = np.array([np.nan if value in (None, "") else float(value) for value in values])
        if column.kind is Kind.NUMBER:
            return values.astype(np.float64)
        if values.dtype.kind == "f":
            known = np.isfinite(values)
            return np.where(known, np.where(known, values, 0).astype(np.int64), NO_FID)
        return values.astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: layer {schema.name}, column {column.name}: {error}") from error

"""Merged LiDAR sweeps in OpenScene's binary layout: one `.pcd` file per frame.

Layout of a file, which `encode_lidar` writes and `decode_lidar` and the official devkit read:

    # .PCD v0.7 - Point Cloud Data file format     ASCII header lines, each ended by a newline
    VERSION 0.7
    FIELDS x y z intensity ring lidar_info
    SIZE 4 4 4 1 1 1                               bytes of each field
    TYPE F F F U U U                               F float, U unsigned, I signed
    COUNT 1 1 1 1 1 1
    WIDTH <points>
    HEIGHT 1
    VIEWPOINT 0 0 0 1 0 0 0
    POINTS <points>
    DATA binary
    <points> records of 15 bytes, packed, little-endian; what follows them is ignored

Points are in the frame of the merged LiDAR, whose pose in the ego frame is the log's `lidar2ego`; metres. `intensity`
is 0-255, `ring` the laser's number counted within its LiDAR, `lidar_info` the LiDAR's number. Readers find fields by
name and honour SIZE and TYPE.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.core.outside.files import but_is, read_bytes, shown


class LidarColumn(IntEnum):
    """Columns of a LiDAR point array (point, 6)."""

    X = 0
    Y = 1
    Z = 2
    INTENSITY = 3
    RING = 4
    LIDAR_ID = 5


FIELDS = ("x", "y", "z", "intensity", "ring", "lidar_info")
"""The file's name of each column, in the order of `LidarColumn`."""

_RECORD = np.dtype([(name, "<f4" if name in "xyz" else "u1") for name in FIELDS])
_KINDS = {"F": "f", "U": "u", "I": "i"}
_HEADER_LIMIT = 4096


def encode_lidar(points: NDArray[np.float32]) -> bytes:
    """File content for one merged sweep.

    Args:
        points: (P, 6), columns `LidarColumn`, LiDAR frame, m. Intensity, ring and LiDAR number are rounded and must
            lie in 0-255.
    """
    if points.ndim != 2 or points.shape[1] != len(LidarColumn):
        raise ValueError(f"expected points (P, {len(LidarColumn)}), got {points.shape}")
    small = np.rint(points[:, LidarColumn.INTENSITY :])
    if small.size and not (small.min() >= 0 and small.max() <= 255):
        raise ValueError("intensity, ring and LiDAR number must lie in 0-255")
    records = np.empty(len(points), _RECORD)
    for column, name in enumerate(FIELDS[:3]):
        records[name] = points[:, column]
    for column, name in enumerate(FIELDS[3:]):
        records[name] = small[:, column].astype(np.uint8)
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\n"
        "VERSION 0.7\n"
        f"FIELDS {' '.join(FIELDS)}\n"
        "SIZE 4 4 4 1 1 1\n"
        "TYPE F F F U U U\n"
        "COUNT 1 1 1 1 1 1\n"
        f"WIDTH {len(points)}\n"
        "HEIGHT 1\n"
        "VIEWPOINT 0 0 0 1 0 0 0\n"
        f"POINTS {len(points)}\n"
        "DATA binary\n"
    )
    return header.encode("ascii") + records.tobytes()


def decode_lidar(content: bytes, source: Path | str = "LiDAR sweep") -> NDArray[np.float32]:
    """Points of one merged sweep.

    Args:
        content: the file's bytes.
        source: what to name in errors.

    Returns:
        (P, 6) float32, columns `LidarColumn`, LiDAR frame, m.

    Raises:
        DataError: the header is damaged, a field is missing, or the file is shorter than its header says.
    """
    header, start = _parse_header(content, source)
    try:
        names, sizes, kinds = header["FIELDS"], header["SIZE"], header["TYPE"]
        record = np.dtype([(n, f"<{_KINDS[k]}{s}") for n, s, k in zip(names, sizes, kinds, strict=True)])
        count = int(header["POINTS"][0])
        wide = any(int(c) != 1 for c in header["COUNT"])
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise DataError(f"{source}: damaged point cloud header ({str(error)[:200]})") from error
    missing = [name for name in FIELDS if name not in (record.names or ())]
    if missing or wide:
        raise DataError(
            f"{source}: expected single fields {', '.join(FIELDS)}; the file has {shown(', '.join(record.names or ()))}"
        )
    needed, there = count * record.itemsize, len(content) - start
    if count < 0 or there < needed:
        raise DataError(f"{source}: truncated: {count} points need {needed} bytes, the file has {there}")
    records = np.frombuffer(content, record, count, start)
    points = np.empty((count, len(FIELDS)), np.float32)
    for column, name in enumerate(FIELDS):
        points[:, column] = records[name]
    return points


def read_lidar(path: Path | str) -> NDArray[np.float32]:
    """`decode_lidar` of a file; DataError names the path if it is missing or damaged."""
    return decode_lidar(read_bytes(path, "LiDAR sweep"), f"LiDAR sweep {path}")


def _parse_header(content: bytes, source: Path | str) -> tuple[dict[str, list[str]], int]:
    """Header words by key, and the offset of the first record."""
    header: dict[str, list[str]] = {}
    start = 0
    while (end := content.find(b"\n", start, start + _HEADER_LIMIT)) >= 0:
        line = content[start:end].decode("ascii", errors="replace").strip()
        start = end + 1
        if not line or line.startswith("#"):
            continue
        key, *words = line.split()
        header[key.upper()] = words
        if key.upper() == "DATA":
            if words != ["binary"]:
                raise DataError(f"{source}: point cloud data is {shown(' '.join(words))}, only binary is read")
            return header, start
        if len(header) > 32:
            break
    raise DataError(f"{source}: not a point cloud: no DATA line in the header{but_is(content[:16])}")

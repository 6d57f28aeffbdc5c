"""The merged LiDAR layout, byte by byte."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.data.lidar import decode_lidar, encode_lidar, read_lidar

POINTS = np.array([[1.5, -2.0, 0.25, 7, 31, 2], [-80, 3, 1, 255, 0, 0]], np.float32)


def test_layout_of_the_first_record():
    header, body = encode_lidar(POINTS).split(b"DATA binary\n")
    assert b"FIELDS x y z intensity ring lidar_info\nSIZE 4 4 4 1 1 1\nTYPE F F F U U U\n" in header
    assert b"POINTS 2\n" in header
    assert len(body) == 2 * 15
    assert struct.unpack("<fffBBB", body[:15]) == (1.5, -2.0, 0.25, 7, 31, 2)


def test_round_trip():
    found = decode_lidar(encode_lidar(POINTS))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, POINTS)
    assert decode_lidar(encode_lidar(np.empty((0, 6), np.float32))).shape == (0, 6)


def test_fields_are_found_by_name_and_type_and_a_tail_is_ignored():
    header = (
        b"# comment\nVERSION .7\nFIELDS lidar_info ring x y z t intensity\nSIZE 1 2 4 4 4 8 4\nTYPE U U F F F U F\n"
        b"COUNT 1 1 1 1 1 1 1\nWIDTH 1\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 1\nDATA binary\n"
    )
    record = struct.pack("<BHfffQf", 3, 40, 1, 2, 3, 12345, 9.5)
    np.testing.assert_array_equal(decode_lidar(header + record + b"\0" * 99), [[1, 2, 3, 9.5, 40, 3]])


@pytest.mark.parametrize("cut", [0, 5, 60, -1, -16])
def test_truncated_sweep_is_named(tmp_path, cut):
    path = tmp_path / "a.pcd"
    path.write_bytes(encode_lidar(POINTS)[:cut])
    with pytest.raises(DataError, match=r"a\.pcd"):
        read_lidar(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"DATA binary", b"DATA ascii", "data is 'ascii'"),
        (b"POINTS 2", b"POINTS x", "damaged"),
        (b"POINTS 2", b"POINTS -2", "truncated"),
        (b"SIZE 4 4 4 1 1 1", b"SIZE 4 4 4 1 1", "damaged"),
        (b"FIELDS x y z intensity ring lidar_info", b"FIELDS x y z intensity ring other", "expected single fields"),
        (b"COUNT 1 1 1 1 1 1", b"COUNT 1 1 1 1 1 2", "expected single fields"),
        (b"TYPE F F F U U U", b"TYPE F F F U U Q", "damaged"),
    ],
)
def test_damaged_headers(old, new, message):
    with pytest.raises(DataError, match=message):
        decode_lidar(encode_lidar(POINTS).replace(old, new))


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"b\.pcd not found"):
        read_lidar(tmp_path / "b.pcd")


def test_writer_refuses_what_the_layout_cannot_hold():
    with pytest.raises(ValueError, match="0-255"):
        encode_lidar(np.array([[0, 0, 0, 256, 0, 0]], np.float32))
    with pytest.raises(ValueError, match="expected points"):
        encode_lidar(np.zeros((3, 5), np.float32))

from __future__ import annotations

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.metric_cache.container import read_arrays, read_meta, write_arrays

ARRAYS = {
    "f8": np.linspace(-1, 1, 30).reshape(5, 3, 2),
    "i8": np.array([-(2**62), 0, 2**62]),
    "u1": np.arange(200, dtype=np.uint8),
    "bool": np.array([True, False, True]),
    "text": np.array([b"a", b"longer"]),
    "none": np.zeros((0, 3)),
    "scalar": np.array(7.5),
    "nan": np.array([np.nan, np.inf, -0.0]),
}


def test_arrays_come_back_bit_by_bit(tmp_path):
    path = tmp_path / "x.nfc"
    size = write_arrays(path, {"a": [1, "b"]}, ARRAYS)
    assert size == path.stat().st_size
    meta, arrays = read_arrays(path)
    assert meta == read_meta(path) == {"a": [1, "b"]}
    assert list(arrays) == sorted(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()


def test_same_input_gives_same_bytes(tmp_path):
    for name in "ab":
        write_arrays(tmp_path / name, {"b": 1, "a": 2}, ARRAYS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_truncation_is_found_at_every_length(tmp_path):
    path = tmp_path / "x.nfc"
    write_arrays(path, {}, {"a": np.arange(9.0), "b": np.zeros(3)})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(DataError, match=r"x\.nfc"):
            read_arrays(path)
        with pytest.raises(DataError, match=r"x\.nfc"):
            read_meta(path)


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "x.nfc"
    write_arrays(path, {"tokens": ["abc"]}, {"a": np.arange(9.0)})
    content = bytearray(path.read_bytes())
    for position in range(len(content)):
        damaged = content.copy()
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        with pytest.raises(DataError):
            read_arrays(path)


def test_appended_bytes_are_found(tmp_path):
    path = tmp_path / "x.nfc"
    write_arrays(path, {}, ARRAYS)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(DataError, match="instead of"):
        read_arrays(path)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(DataError, match="not found"):
        read_arrays(tmp_path / "nothing.nfc")
    (tmp_path / "log.pkl").write_bytes(b"\x80\x04N." * 100)
    with pytest.raises(DataError, match="not a metric cache file"):
        read_meta(tmp_path / "log.pkl")


def test_objects_are_not_stored(tmp_path):
    with pytest.raises(TypeError, match="'bad'"):
        write_arrays(tmp_path / "x.nfc", {}, {"bad": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []

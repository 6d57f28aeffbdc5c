"""Files from outside: what is in a file's place is named; sizes and nesting are bounded before memory is taken."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge.core.errors import ConfigError, DataError, NavforgeError
from navforge.core.outside.arrays import read_npy, read_npz
from navforge.core.outside.files import inside, read_bytes, shown
from navforge.core.outside.sealed import read_sealed, write_sealed
from navforge.core.outside.text import (
    DEEPEST,
    parse_json,
    parse_yaml,
    read_json,
    read_text,
    read_yaml,
)
from navforge.maps.geopackage import locations, map_path

READERS: dict[str, Callable[[Path], Any]] = {
    "text": lambda path: read_text(path, "text"),
    "json": lambda path: read_json(path, "json"),
    "yaml": lambda path: read_yaml(path, "yaml"),
    "sealed": lambda path: read_sealed(path, "sealed"),
    "npy": lambda path: read_npy(path, "npy"),
    "npz": lambda path: read_npz(path, "npz", ["a"]),
}


def place(kind: str, path: Path) -> str:
    """Put something else in a file's place; a part of what the error has to say."""
    if kind == "folder":
        path.mkdir()
        return "is a folder"
    if kind == "pipe":
        os.mkfifo(path)
        return "is a named pipe"
    if kind == "circle":
        path.symlink_to(path.name)
        return "circle of symbolic links"
    if kind == "dangling":
        path.symlink_to("nothing")
        return "does not exist"
    if kind == "absent":
        return "not found"
    content, words = {
        "empty": (b"", "empty (0 bytes)"),
        "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "run `git lfs pull` in "),
        "page": (b"\n<!DOCTYPE html><html>404</html>", "web page"),
        "error": (b"<?xml version='1.0'?><Error/>", "web page"),
    }[kind]
    path.write_bytes(content)
    return words


@pytest.mark.parametrize(
    "kind", ["folder", "pipe", "circle", "dangling", "absent", "empty", "pointer", "page", "error"]
)
@pytest.mark.parametrize("what", READERS)
def test_every_reader_names_what_lies_in_a_files_place(what: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.npy"
    words = place(kind, path)
    with pytest.raises(NavforgeError) as error:
        READERS[what](path)
    assert str(path) in str(error.value) and words in str(error.value)


@pytest.mark.parametrize("what", READERS)
def test_damaged_content_is_an_error_that_names_the_file(what: str, tmp_path: Path) -> None:
    path = tmp_path / "file.npy"
    random = np.random.default_rng(5)
    starts = [b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"PAR1", b"\xff\xd8\xff\xe0", b"a: \xff\n", b"{", b"\x1f\x8b\x08"]
    for start in starts:
        path.write_bytes(start + random.bytes(200))
        with pytest.raises(NavforgeError, match=r"file\.npy"):
            READERS[what](path)


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"content")
    (tmp_path / "link").symlink_to("real")
    assert read_bytes(tmp_path / "link", "file") == b"content"
    with pytest.raises(DataError, match="7 bytes, at most 6"):
        read_bytes(tmp_path / "link", "file", limit=6)


def test_text_that_is_not_utf8_names_the_byte(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"ab\ncd\xff")
    with pytest.raises(ConfigError, match=r"byte 0xff at offset 5 \(line 2\)"):
        read_text(tmp_path / "t", "profile", error=ConfigError)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "- " * 100_000,
        "{" * 5_000,
        "? " * 5_000,
        "\n".join(" " * depth + "a:" for depth in range(2_000)),
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)),
        "&a [*a]",
    ],
)
def test_yaml_is_bounded(text: str) -> None:
    with pytest.raises(ValueError, match=r"^line \d+: "):
        parse_yaml(text)


def test_yaml_refuses_a_key_twice_and_reads_the_rest_as_before() -> None:
    assert parse_yaml("a: &x [1, 2.5, null]\nb: *x\nc: {d: 'e'}") == {
        "a": [1, 2.5, None],
        "b": [1, 2.5, None],
        "c": {"d": "e"},
    }
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert parse_yaml(deep) is not None
    with pytest.raises(ValueError, match="nested deeper"):
        parse_yaml(f"[{deep}]")
    with pytest.raises(ValueError, match=r"line 4: key 'c' occurs twice, first in line 2"):
        parse_yaml("a:\n  c: 1\n  d: 2\n  c: 3\n")


def test_json_is_bounded_and_strict() -> None:
    assert parse_json('{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    levels = DEEPEST - 1
    assert parse_json("[" * levels + "]" * levels) is not None
    for text in ("[" * 100_000, "[" * 60 + "]" * 60, '{"a": 1, "a": 2}', "NaN", "9" * 5_000, "{"):
        with pytest.raises(ValueError):
            parse_json(text)


def test_every_flipped_bit_of_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "header.json"
    value = {"format": 2, "taught": True, "names": ["a", "b"], "mean": 0.5, "none": None}
    write_sealed(path, value)
    assert read_sealed(path, "header") == value
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                assert read_sealed(path, "header") == value  # white space only
            except DataError as error:
                assert str(path) in str(error)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(3.5),
        np.array(["a", "bé"]),
        np.zeros((0, 3), np.float32),
        np.array([True, False]),
        np.arange(3, dtype=">i4"),
    ],
    ids=str,
)
def test_arrays_are_read_as_numpy_reads_them(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", a=array)
    for read in (read_npy(tmp_path / "a.npy", "array"), read_npz(tmp_path / "a.npz", "archive", ["a"])["a"]):
        assert read.shape == array.shape and read.dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(read, array)


def npy(header: bytes, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n",
        b"{'descr': '<f8', 'fortran_order': False, 'shape': " + b"(" * 5000 + b"}\n",
        b"[" * 60_000,
        b"",
    ],
)
def test_headers_of_arrays_are_not_believed(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(npy(header, b"12345678"))
    with pytest.raises(DataError, match=r"a\.npy is damaged"):
        read_npy(tmp_path / "a.npy", "array")


def test_an_archive_that_unpacks_out_of_proportion_is_refused(tmp_path: Path) -> None:
    block = io.BytesIO()
    with zipfile.ZipFile(block, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (300000000,), }\n"))
        for _ in range(300):
            member.write(bytes(1_000_000))
    (tmp_path / "a.npz").write_bytes(block.getvalue())
    with pytest.raises(DataError, match=r"would unpack to 0\.3 GiB"):
        read_npz(tmp_path / "a.npz", "archive", ["a"])


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.jpg", "a/../../b.jpg", "", ".", "a\0b", "../../.."])
def test_paths_of_data_may_not_leave_their_root(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="refused"):
        inside(tmp_path, name, "log")


def test_a_link_inside_a_root_may_lead_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("x")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "out")
    assert inside(tmp_path / "root", "link/a", "log").read_text() == "x"
    assert inside(tmp_path / "root", "link/../b", "log") == tmp_path / "root" / "b"


def test_a_map_index_may_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    root = tmp_path / "maps"
    root.mkdir()
    (tmp_path / "map.gpkg").write_text("x")
    for index in ('{"a": {"version": "../.."}}', '{"../..": {"version": "."}}'):
        (root / "nuplan-maps-v1.0.json").write_text(index)
        with pytest.raises(DataError, match="refused"):
            map_path(root, next(iter(locations(root))))


def test_values_are_shown_bounded_and_escaped() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]
    for value in (nested, "\x1b[31m" * 1000, 10**6000, {1: 2}, b"\x00"):
        assert len(shown(value)) < 500 and "\x1b" not in shown(value)

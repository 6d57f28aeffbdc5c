"""Pickled dicts item by item: the same values as whole, bounded memory, the same refusals."""

from __future__ import annotations

import os
import pickle
import random
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.data import pickles
from navforge.data.pickle_stream import read_items, write_items


def table(scenes: int, entries: int = 50) -> dict[str, dict[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    return {
        f"{number:016x}": {
            "ego_progress": generator.random(entries).astype(np.float16),
            "comfort": generator.integers(0, 2, entries).astype(np.float32),
            "steps": generator.integers(0, 9, entries),
        }
        for number in range(scenes)
    }


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    assert read_items(path, found.__setitem__) == len(found)
    return found


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for token, arrays in expected.items():
        assert list(found[token]) == list(arrays)
        for name, array in arrays.items():
            assert found[token][name].dtype == array.dtype
            np.testing.assert_array_equal(found[token][name], array)


@pytest.mark.parametrize("scenes", [0, 1, 3, 1000, 2501])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_pickle_wrote_is_read(tmp_path: Path, protocol: int, scenes: int) -> None:
    content = table(scenes)
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    same(read(tmp_path / "t.pkl"), content)


@pytest.mark.parametrize("scenes", [0, 1, 3, 1000, 2501])
def test_what_is_written_pickle_reads(tmp_path: Path, scenes: int) -> None:
    content = table(scenes)
    with open(tmp_path / "t.pkl", "wb") as file:
        assert write_items(file, content.items()) == scenes
    data = (tmp_path / "t.pkl").read_bytes()
    same(pickle.loads(data), content)
    same(pickles.load(tmp_path / "t.pkl"), content)
    same(read(tmp_path / "t.pkl"), content)
    assert b"numpy._core" not in data  # numpy 1 knows no such module


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """40 MB in items of 8 kB: what is held is the thousand between two marks at most, twice."""
    with open(tmp_path / "t.pkl", "wb") as file:
        write_items(file, ((f"{n}", {"x": np.full(1000, n, np.int64)}) for n in range(5000)))
    assert (tmp_path / "t.pkl").stat().st_size > 40e6
    for path in (tmp_path / "t.pkl", tmp_path / "c.pkl"):
        if not path.exists():
            path.write_bytes(pickle.dumps(pickle.loads((tmp_path / "t.pkl").read_bytes()), protocol=4))
        tracemalloc.start()
        total = 0

        def take(token: str, arrays: dict[str, np.ndarray]) -> None:
            nonlocal total
            total += int(arrays["x"][0])

        read_items(path, take)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == 4999 * 5000 // 2 and peak < 30e6


def test_items_that_share_an_array_are_refused(tmp_path: Path) -> None:
    shared = np.ones(3)
    content = {f"{number}": {"x": shared} for number in range(1500)}
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(DataError, match="items share arrays"):
        read(tmp_path / "t.pkl")
    within = {f"{n}": dict.fromkeys(("x", "y"), np.full(3, n)) for n in range(1500)}  # one scene may
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(within, protocol=4))
    same(read(tmp_path / "t.pkl"), within)


def test_ordered_dicts_within_are_read(tmp_path: Path) -> None:
    content = {"a": OrderedDict(x=np.arange(3)), "b": OrderedDict(x=np.arange(4))}
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(content))
    same(read(tmp_path / "t.pkl"), content)


class Harm:
    def __reduce__(self) -> Any:
        return os.system, ("touch harm",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": {"x": Harm()}}, "refused: the pickle names posix.system"),
        ({"a": Harm()}, "refused: the pickle names posix.system"),
        ({"a": {"x": np.array([Harm()], object)}}, "refused: the pickle names posix.system"),
        ({"a": {"x": Path("y")}}, "refused: the pickle names pathlib"),
        ([1, 2], "holds no dict"),
        (np.arange(3), "holds no dict"),
    ],
)
def test_what_is_no_table_of_plain_values_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=words):
        read(tmp_path / "t.pkl")


def test_damage_is_a_data_error_whatever_byte_it_is(tmp_path: Path) -> None:
    """Cut anywhere, or with any byte changed: a table of plain values or a DataError, no crash and no other error."""
    whole = pickle.dumps(table(3, entries=5), protocol=4)
    path = tmp_path / "t.pkl"
    generator = random.Random(0)
    for case in range(400):
        data = bytearray(whole)
        if case % 2:
            data = data[: generator.randrange(len(data))]
        else:
            data[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(bytes(data))
        try:
            read(path)
        except DataError as error:
            assert str(path) in str(error)
    with pytest.raises(DataError, match="not found"):
        read(tmp_path / "absent.pkl")


def test_errors_of_the_caller_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(table(3)))

    def take(token: str, arrays: Any) -> None:
        raise OSError(28, "No space left on device", "elsewhere")

    with pytest.raises(OSError, match="elsewhere"):
        read_items(tmp_path / "t.pkl", take)

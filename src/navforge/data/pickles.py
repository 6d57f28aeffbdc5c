"""Pickles of strangers: numpy arrays and plain Python values are admitted, everything else is refused by name.

A pickle is a program. Here it may name only the few globals below; each is replaced by a guard that builds arrays and
scalars and nothing else (`data.pickled_arrays`), and what comes out is checked value by value, so no class, function
or structured array reaches the caller.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from navforge.core.errors import DataError
from navforge.core.outside import pickle_limits
from navforge.core.outside.files import but_is, read_bytes, shown
from navforge.data.pickled_arrays import ArrayType, Dtype, FromBuffer, Guard, PickledArray, Reconstruct, Scalar
from navforge.geometry.compiled import kernel

DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
    RuntimeError,
    SystemError,
)
"""What unpickling raises where a file is damaged."""
_PLAIN = frozenset({str, int, float, bool, bytes, bytearray, complex, type(None)})
_PLAIN_DTYPES = frozenset("biufcSU")
_STOOD_IN = frozenset({PickledArray, tuple})
_measure = kernel(pickle_limits.measure)


def load(path: Path | str, what: str = "log") -> Any:
    """The value in a pickle file.

    Args:
        path: the file.
        what: what it is to the user.

    Returns:
        Nested dicts (also ordered), lists, tuples and sets of numbers, text, bytes, None, numpy scalars and arrays.

    Raises:
        DataError: the file cannot be read, is truncated or no pickle, is larger than `pickle_limits` allow, or names
            anything but numpy arrays and plain values; the message names the file and the refused global.
    """
    content = read_bytes(path, what)
    try:
        pickle_limits.check(content, compiled=_measure)
        return settled(_Unpickler(io.BytesIO(content), Path(path)).load(), path)
    except DataError:
        raise
    except DAMAGE as error:
        raise DataError(
            f"{what} {path} is not a complete pickle of plain values ({type(error).__name__}: {str(error)[:200]})"
            f"{but_is(content[:16])}; copy or download it again"
        ) from error


class _Encode(Guard):
    """`_codecs.encode`, with which protocol 2 stores bytes; latin-1 only."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise TypeError(f"text in encoding {encoding}")
        return text.encode("latin1")


class _Bytes(Guard):
    """`bytes` of given content; the call with a number, which would allocate, is refused."""

    __slots__ = ()

    def __call__(self, content: Any = b"", encoding: Any = "latin1") -> bytes:
        if isinstance(content, str):
            return _Encode()(content, encoding)
        if not isinstance(content, bytes):
            raise TypeError(f"bytes of a {type(content).__name__}")
        return content


class _Bytearray(_Bytes):
    """`bytearray`, likewise."""

    __slots__ = ()

    def __call__(self, content: Any = b"", encoding: Any = "latin1") -> bytearray:  # pyright: ignore[reportIncompatibleMethodOverride]
        return bytearray(super().__call__(content, encoding))


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): ArrayType(),
    ("numpy", "dtype"): Dtype(),
    ("_codecs", "encode"): _Encode(),
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (f"numpy.{core}.{module}", name): guard
        for core in ("core", "_core")
        for module, name, guard in (
            ("multiarray", "_reconstruct", Reconstruct()),
            ("multiarray", "scalar", Scalar()),
            ("numeric", "_frombuffer", FromBuffer()),
        )
    },
    **{
        (module, name): guard
        for module in ("builtins", "__builtin__")
        for name, guard in (
            ("set", set),
            ("frozenset", frozenset),
            ("complex", complex),
            ("bytes", _Bytes()),
            ("bytearray", _Bytearray()),
        )
    },
}


def admitted(module_name: str, global_name: str, path: Path) -> Any:
    """The guard that stands for a global of a pickle.

    Raises:
        DataError: the global is none of those that arrays and plain values need.
    """
    guard = _ADMITTED.get((module_name, global_name))
    if guard is None:
        raise DataError(
            f"{path}: refused: the pickle names {module_name}.{global_name}; logs and tables may hold numpy arrays and "
            "plain Python values only"
        )
    return guard


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        return admitted(module_name, global_name, self._path)

    def persistent_load(self, pid: Any) -> Any:
        raise DataError(f"{self._path}: refused: the pickle refers to outside storage ({shown(pid)})")


def settled(root: Any, path: Path | str) -> Any:
    """An unpickled value with arrays in the places kept for them; any value that is not plain data is refused.

    Values are nested no deeper than `pickle_limits` allow.
    """
    seen: dict[int, Any] = {}
    tuples: dict[int, tuple[Any, Any]] = {}
    top = [root]
    todo: list[Any] = [top]
    while todo:
        item = todo.pop()
        kind = type(item)
        if kind in _PLAIN or id(item) in seen:
            continue
        if kind is list:
            seen[id(item)] = item
            if not _PLAIN.issuperset(map(type, item)):
                for index, value in enumerate(item):
                    if type(value) in _STOOD_IN:
                        item[index] = _in_place(value, tuples)
                todo.extend(item)
        elif kind is dict or kind is OrderedDict:
            seen[id(item)] = item
            if kind is OrderedDict and vars(item):
                raise DataError(f"{path}: refused: an OrderedDict with attributes")
            if not _PLAIN.issuperset(map(type, item)):
                todo.extend(item)
            for key, value in item.items():
                if type(value) not in _PLAIN:
                    item[key] = settled = _in_place(value, tuples)
                    todo.append(settled)
        elif kind in (tuple, set, frozenset):
            seen[id(item)] = item
            if not _PLAIN.issuperset(map(type, item)):
                todo.extend(item)
        elif kind is np.ndarray and item.dtype.kind == "O":
            seen[id(item)] = item
            for index, value in enumerate(item.flat):
                item.flat[index] = _in_place(value, tuples)
            todo.extend(item.flat)
        elif not (isinstance(item, np.ndarray | np.generic) and _plain_dtype(item.dtype)):
            raise DataError(f"{path}: refused: a {kind.__module__}.{kind.__qualname__} among the values")
    return top[0]


def _in_place(value: Any, tuples: dict[int, tuple[Any, Any]]) -> Any:
    """The array that a place was kept for; a tuple with such arrays; or else the value itself.

    Args:
        value: any value.
        tuples: those already made anew by their `id`, each with the original so that the id stays its own.
    """
    if type(value) is PickledArray:
        if value.array is None:
            raise TypeError("an array without content")
        return value.array
    if type(value) is not tuple or _PLAIN.issuperset(map(type, value)):
        return value
    known = tuples.get(id(value))
    if known is None:
        parts = tuple(_in_place(part, tuples) for part in value)
        same = all(new is old for new, old in zip(parts, value, strict=True))
        known = tuples[id(value)] = value, value if same else parts
    return known[1]


def _plain_dtype(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _PLAIN_DTYPES and dtype.fields is None and dtype.subdtype is None

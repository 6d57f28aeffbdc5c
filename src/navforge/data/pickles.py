"""Pickles of strangers: numpy arrays and plain Python values are admitted, everything else is refused by name.

A pickle is a program. Here it may name only the few globals below; each is replaced by a guard that builds arrays and
scalars and nothing else, and what comes out is checked value by value, so no class, function or structured array
reaches the caller.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from navforge.core.errors import DataError

_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
    MemoryError,
)
_PLAIN = frozenset({str, int, float, bool, bytes, bytearray, complex, type(None)})
_PLAIN_DTYPES = frozenset("biufcSUmM?")


def load(path: Path | str) -> Any:
    """The value in a pickle file.

    Returns:
        Nested dicts (also ordered), lists, tuples and sets of numbers, text, bytes, None, numpy scalars and arrays.

    Raises:
        DataError: the file cannot be read, is truncated or no pickle, or names anything but numpy arrays and plain
            values; the message names the file and the refused global.
    """
    try:
        with open(path, "rb") as file:
            value = _Unpickler(file, Path(path)).load()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(f"{path} is no complete pickle of plain values ({type(error).__name__}: {error})") from error
    _check_plain(value, path)
    return value


class _Guard:
    """A callable without attributes, so that a pickle's BUILD instruction has nothing to change."""

    __slots__ = ()


class _ArrayType(_Guard):
    """Stands for the class `numpy.ndarray`, which pickles only hand to `_reconstruct`; it cannot be called."""

    __slots__ = ()


class _Reconstruct(_Guard):
    """`numpy._core.multiarray._reconstruct` for exact ndarrays: an empty array that the state then fills."""

    __slots__ = ()

    def __call__(self, subtype: Any, shape: Any, typecode: Any) -> Any:
        if not isinstance(subtype, _ArrayType) or shape != (0,):
            raise TypeError("an array subclass")
        return np.empty((0,), np.int8)


class _FromBuffer(_Guard):
    """`numpy._core.numeric._frombuffer`: how protocol 5 stores arrays."""

    __slots__ = ()

    def __call__(self, buffer: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> Any:
        if axis_order is not None:
            raise TypeError("an array with permuted axes")
        return np.frombuffer(buffer, dtype=dtype).reshape(shape, order=order)


class _Dtype(_Guard):
    """`numpy.dtype` of plain numbers, text and bytes."""

    __slots__ = ()

    def __call__(self, code: Any, align: Any = False, copy: Any = False) -> Any:
        dtype = np.dtype(str(code))
        if dtype.kind not in "O" + "".join(_PLAIN_DTYPES):
            raise TypeError(f"an array of {code}")
        return dtype


class _Encode(_Guard):
    """`_codecs.encode`, with which protocol 2 stores bytes; latin-1 only."""

    __slots__ = ()

    def __call__(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise TypeError(f"text in encoding {encoding}")
        return text.encode("latin1")


class _Bytes(_Guard):
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
    ("numpy", "ndarray"): _ArrayType(),
    ("numpy", "dtype"): _Dtype(),
    ("_codecs", "encode"): _Encode(),
    ("collections", "OrderedDict"): OrderedDict,
    **{
        (f"numpy.{core}.{module}", name): guard
        for core in ("core", "_core")
        for module, name, guard in (
            ("multiarray", "_reconstruct", _Reconstruct()),
            ("multiarray", "scalar", np._core.multiarray.scalar),  # pyright: ignore[reportAttributeAccessIssue]
            ("numeric", "_frombuffer", _FromBuffer()),
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


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file)
        self._path = path

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        admitted = _ADMITTED.get((module_name, global_name))
        if admitted is None:
            raise DataError(
                f"{self._path}: refused: the pickle names {module_name}.{global_name}; logs may hold numpy arrays and "
                "plain Python values only"
            )
        return admitted

    def persistent_load(self, pid: Any) -> Any:
        raise DataError(f"{self._path}: refused: the pickle refers to outside storage ({str(pid)[:80]})")


def _check_plain(value: Any, path: Path | str) -> None:
    """Refuse any value that is not plain data; iterative, because a hostile pickle may nest deeply."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        item = todo.pop()
        kind = type(item)
        if kind in _PLAIN:
            continue
        if kind in (list, tuple, set, frozenset, dict, OrderedDict):
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, dict):
                todo.extend(item.keys())
                todo.extend(item.values())
            elif not _PLAIN.issuperset(map(type, item)):
                todo.extend(item)
        elif kind is np.ndarray:
            if item.dtype.kind == "O" and item.dtype.fields is None:
                if id(item) not in seen:
                    seen.add(id(item))
                    todo.extend(item.ravel().tolist())
            elif not _plain_dtype(item.dtype):
                raise DataError(f"{path}: refused: an array of {item.dtype.kind!r} values with fields")
        elif not (isinstance(item, np.generic) and _plain_dtype(item.dtype)):
            raise DataError(f"{path}: refused: a {kind.__module__}.{kind.__qualname__} among the values")


def _plain_dtype(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _PLAIN_DTYPES and dtype.fields is None and dtype.subdtype is None

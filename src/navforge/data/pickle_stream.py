"""A pickled dict whose values are too many to hold: read and written item by item.

Reading follows the rules of `data.pickles`: arrays and plain values, everything else refused by name. What an item
leaves behind is forgotten as soon as the item is handed over, so that memory does not grow with the file; a pickle
whose items share arrays cannot be read so, and says so.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.core.outside.files import open_regular, shown
from navforge.data.pickled_arrays import Guard, PickledDtype
from navforge.data.pickles import DAMAGE, admitted, settled

_SMALL = 256
"""Bytes and text up to this size are remembered: pickles refer to them again."""
_DICTS = (dict, OrderedDict)
_LARGEST_TUPLE = 100
"""Values of a tuple and of all tuples in it, however often they are shared; those that make an array have about 20."""
_CHUNK = 1000
"""Items between two marks; as Python's own pickler writes."""


class _Gone:
    """In the place of what was handed over."""


_GONE = _Gone()


def read_items(
    path: Path | str, take: Callable[[Any, Any], None], tell: Callable[[int], None] = lambda done: None
) -> int:
    """Hand every item of a pickled dict to `take(key, value)`; return how many there were.

    Args:
        path: of the pickle.
        take: called with each item, in order.
        tell: called now and then with the number of bytes read so far.

    Raises:
        DataError: the file cannot be read, is truncated or no pickled dict, names anything but numpy arrays and plain
            values, or its items share arrays; and what `take` raises.
    """
    path = Path(path)
    with _naming(path), open_regular(path, "teacher table") as file:
        reader = _Reader(file, path, take, tell)
        if type(reader.load()) is not dict:
            raise DataError(f"{path} holds no dict; a table is a dict token -> column -> array")
        return reader.count


def write_items(file: IO[bytes], items: Iterable[tuple[str, Mapping[str, NDArray[Any]]]]) -> int:
    """Write a pickled dict of dicts of arrays, item by item; return how many.

    Protocol 3, with numpy's names from before 2.0, which every numpy since 1.7 loads.
    """
    file.write(b"\x80\x03}")
    count = 0
    for count, (token, arrays) in enumerate(items, 1):
        file.write(b"(" if count % _CHUNK == 1 else b"")
        file.write(_text(token) + b"}(")
        for name, array in arrays.items():
            file.write(_text(name) + _array(array))
        file.write(b"u")
        if count % _CHUNK == 0:
            file.write(b"u")
    file.write(b"." if count % _CHUNK == 0 else b"u.")
    return count


class _TakeError(Exception):
    """What the caller's function raised, on its way past the errors of a damaged file."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Memo(dict[int, Any]):
    """What the pickle may refer to again, by number; forgets large things once their item is handed over."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._fresh: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __setitem__(self, number: int, value: Any) -> None:
        if number not in self:
            self.count += 1
        if not _kept(value):
            self._fresh.append(number)
        super().__setitem__(number, value)

    def __missing__(self, number: int) -> Any:
        if number < self.count:
            return _GONE
        raise KeyError(number)

    def forget(self) -> None:
        """Drop what is large of the items so far."""
        for number in self._fresh:
            self.pop(number, None)
        self._fresh.clear()


def _kept(value: Any) -> bool:
    if isinstance(value, bytes | str):
        return len(value) <= _SMALL
    return isinstance(value, Guard | PickledDtype) or callable(value)


_Plain: Any = pickle._Unpickler
"""The one written in Python: what it does at each instruction can be changed."""


class _Reader(_Plain):
    def __init__(
        self, file: IO[bytes], path: Path, take: Callable[[Any, Any], None], tell: Callable[[int], None]
    ) -> None:
        super().__init__(file)
        self._file = file
        self._bytes = os.fstat(file.fileno()).st_size
        self._plain_read = file.read
        self._file_read = self._bounded_read
        self._tuples: dict[int, tuple[tuple[Any, ...], int]] = {}
        self._tell = tell
        self.memo = _Memo()
        self.count = 0
        self._path = path
        self._take = take

    def find_class(self, module: str, name: str) -> Any:
        return admitted(module, name, self._path)

    def persistent_load(self, pid: Any) -> Any:
        raise DataError(f"{self._path}: refused: the pickle refers to outside storage ({shown(pid)})")

    def _bounded_read(self, count: int) -> bytes:
        if count > self._bytes:
            raise EOFError(f"a length of {count} bytes is stated in a file of {self._bytes}")
        return self._plain_read(count)

    def bound_tuple(self) -> None:
        """Refuse a tuple, just made, which is too deep or too large to be hashed."""
        item = self.stack[-1]
        known = (self._tuples.get(id(part)) for part in item)
        size = len(item) + sum(size for _, size in filter(None, known))
        if size > _LARGEST_TUPLE:
            raise ValueError("tuples within tuples of a table")
        self._tuples[id(item)] = item, size

    def hand_over(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise pickle.UnpicklingError("a key without a value")
        values = settled(items, self._path)
        for key, value in zip(values[::2], values[1::2], strict=True):
            self.count += 1
            try:
                self._take(key, value)
            except Exception as error:
                raise _TakeError(error) from error
        self.memo.forget()
        self._tuples.clear()
        self._tell(self._file.tell())

    def at_root(self) -> bool:
        """Whether the dict that gets items is the outermost value."""
        return not self.metastack and len(self.stack) == 1 and type(self.stack[0]) is dict

    def refuse_gone(self) -> None:
        if self.stack[-1] is _GONE:
            raise DataError(
                f"{self._path}: items share arrays, so that it cannot be read item by item; load and dump it with "
                "copies of them"
            )


def _watched(code: int) -> Callable[[_Reader], None]:
    plain = _Plain.dispatch[code]

    def run(reader: _Reader) -> None:
        plain(reader)
        reader.refuse_gone()

    return run


def _tuple(code: int) -> Callable[[_Reader], None]:
    plain = _Plain.dispatch[code]

    def run(reader: _Reader) -> None:
        plain(reader)
        reader.bound_tuple()

    return run


def _bytearray(reader: _Reader) -> None:
    (length,) = struct.unpack("<Q", reader.read(8))
    reader.append(bytearray(reader.read(length)))


def _setitems(reader: _Reader) -> None:
    items = reader.pop_mark()
    if reader.at_root():
        reader.hand_over(items)
        return
    target = reader.stack[-1]
    if type(target) not in _DICTS or len(items) % 2:
        raise pickle.UnpicklingError("items of an object that is not a dict")
    target.update(zip(items[::2], items[1::2], strict=True))


def _setitem(reader: _Reader) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    if reader.at_root():
        reader.hand_over([key, value])
        return
    target = reader.stack[-1]
    if type(target) not in _DICTS:
        raise pickle.UnpicklingError("an item of an object that is not a dict")
    target[key] = value


_Reader.dispatch = {
    **_Plain.dispatch,
    **{code[0]: _watched(code[0]) for code in (pickle.GET, pickle.BINGET, pickle.LONG_BINGET)},
    **{code[0]: _tuple(code[0]) for code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)},
    pickle.BYTEARRAY8[0]: _bytearray,
    pickle.SETITEMS[0]: _setitems,
    pickle.SETITEM[0]: _setitem,
}


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of a damaged file as DataErrors that name it."""
    try:
        yield
    except _TakeError as failure:
        raise failure.error from None
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (*DAMAGE, struct.error) as error:
        raise DataError(f"{path} is not a complete pickle of plain values ({type(error).__name__}: {error})") from error


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _array(array: NDArray[Any]) -> bytes:
    """Instructions that make a one-dimensional array."""
    if array.ndim != 1 or array.dtype.hasobject or array.nbytes >= 1 << 32:
        raise ValueError(f"a table holds short one-dimensional arrays of numbers, not {array.shape} {array.dtype}")
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    content = little.tobytes()
    buffer = io.BytesIO()
    buffer.write(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R")
    buffer.write(b"(K\x01J" + struct.pack("<i", len(little)) + b"\x85")
    buffer.write(b"cnumpy\ndtype\n" + _text(array.dtype.str[1:]) + b"\x89\x88\x87R")
    buffer.write(b"(K\x03" + _text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")
    buffer.write(b"\x89B" + struct.pack("<I", len(content)) + content + b"tb")
    return buffer.getvalue()

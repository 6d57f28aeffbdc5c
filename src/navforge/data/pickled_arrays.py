"""Stand-ins for what a pickle of numpy arrays calls, so that numpy's own unpickling never runs.

numpy trusts the states it unpickles: a crafted `numpy.dtype` state crashes the process. Here a dtype becomes one of a
few fixed kinds whatever the pickle says, an array is made from bytes of exactly its size, and nothing can be changed
once it is made. Stand-ins are slotted and have no attributes that a pickle's BUILD instruction could set.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_CODE: Final = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|O8?|[SU][0-9]{1,9}")
_LAST_CODE_POINT = 0x10FFFF
_MOST_DIMENSIONS = 32
_DEEPEST = 32
"""Arrays within arrays; numpy frees them recursively and would exhaust the stack."""


class Guard:
    """A callable without attributes, so that a pickle's BUILD instruction has nothing to change."""

    __slots__ = ()


class ArrayType(Guard):
    """Stands for the class `numpy.ndarray`, which pickles only hand to `_reconstruct`; it cannot be called."""

    __slots__ = ()


class PickledDtype:
    """A dtype of plain numbers, text, bytes or objects; its state may say the byte order and nothing else."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise TypeError(f"an array of {str(code)[:80]}")
        self.dtype: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        dtype = self.dtype
        match dtype.kind:
            case "S":
                size = (dtype.itemsize, 1, 0)
            case "U":
                size = (dtype.itemsize, 4, 8)
            case "O":
                size = (-1, -1, 63)
            case _:
                size = (-1, -1, 0)
        if type(state) is not tuple or {type(part) for part in state} - {int, str, type(None)}:
            raise TypeError(f"a state of dtype {dtype.str} that numpy does not write")
        if state not in [(3, order, None, None, None, *size) for order in "<>|="]:
            raise ValueError(f"a state of dtype {dtype.str} that numpy does not write: {str(state)[:80]}")
        self.dtype = dtype.newbyteorder(state[1])


class PickledArray:
    """An array whose content is yet to come; `data.pickles.load` puts `array` in its place in the end."""

    __slots__ = ("array", "depth")
    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(self) -> None:
        self.array: NDArray[Any] | None = None
        self.depth = 1

    def __setstate__(self, state: Any) -> None:
        if self.array is not None:
            raise TypeError("an array with two states")
        version, shape, kind, fortran, content = state
        if version != 1:
            raise ValueError(f"an array state of version {str(version)[:20]}")
        dtype = _dtype(kind)
        order = "F" if fortran else "C"
        if dtype.kind == "O":
            self.depth += _depth(content)
            self.array = _objects(content, shape, order)
        else:
            self.array = _filled(content, dtype, shape, order)


class Reconstruct(Guard):
    """`numpy._core.multiarray._reconstruct` for exact ndarrays: a place that the state then fills."""

    __slots__ = ()

    def __call__(self, subtype: Any, shape: Any, typecode: Any) -> PickledArray:
        """The place of one array, which its state fills."""
        if not isinstance(subtype, ArrayType) or shape != (0,):
            raise TypeError("an array subclass")
        return PickledArray()


class FromBuffer(Guard):
    """`numpy._core.numeric._frombuffer`: how protocol 5 stores arrays."""

    __slots__ = ()

    def __call__(self, buffer: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> NDArray[Any]:
        """An array of the bytes in `buffer`."""
        if axis_order is not None or order not in ("C", "F"):
            raise TypeError("an array with permuted axes")
        return _filled(buffer, _dtype(dtype), shape, order)


class Scalar(Guard):
    """`numpy._core.multiarray.scalar`: a number, text or bytes in numpy's type."""

    __slots__ = ()

    def __call__(self, kind: Any, content: Any) -> np.generic:
        """A scalar of the bytes in `content`."""
        dtype = _dtype(kind)
        if dtype.itemsize == 0:
            return dtype.type()
        scalar: np.generic = _filled(content, dtype, (), "C")[()]  # pyright: ignore[reportAssignmentType]
        return scalar


class Dtype(Guard):
    """`numpy.dtype`."""

    __slots__ = ()

    def __call__(self, code: Any, align: Any = False, copy: Any = False) -> PickledDtype:
        """The dtype of a code such as `f8`."""
        return PickledDtype(code)


def _dtype(kind: Any) -> np.dtype[Any]:
    if type(kind) is not PickledDtype:
        raise TypeError(f"a {type(kind).__name__} in place of a dtype")
    return kind.dtype


def _size(shape: Any) -> int:
    """Number of values of a shape, which must be a short tuple of whole numbers that are not negative."""
    if type(shape) is not tuple or len(shape) > _MOST_DIMENSIONS:
        raise TypeError("an array shape that is not a tuple of a few numbers")
    for length in shape:
        if type(length) is not int or length < 0:
            raise TypeError(f"an array of shape {str(shape)[:80]}")
    return math.prod(shape)


def _filled(content: Any, dtype: np.dtype[Any], shape: Any, order: Any) -> NDArray[Any]:
    """A writable array in native byte order, a copy of bytes that must have exactly its size."""
    if type(content) not in (bytes, bytearray) or dtype.kind == "O":
        raise TypeError(f"a {type(content).__name__} as the content of an array of dtype {dtype.str}")
    size, wide = _size(shape), dtype.itemsize
    if size * wide != len(content) or (wide == 0 and size):
        raise ValueError(f"an array of shape {shape} and dtype {dtype.str} with {len(content)} bytes")
    if not content:
        return np.empty(shape, dtype.newbyteorder("="), order=order)
    stored = np.ndarray(shape, dtype, content, order=order)
    if dtype.isnative and dtype.kind not in "Ub":
        return stored.copy("K")
    native = stored.astype(dtype.newbyteorder("="), order="K")
    if dtype.kind == "U" and np.frombuffer(native.tobytes("A"), np.uint32).max() > _LAST_CODE_POINT:
        raise ValueError("text with characters outside Unicode")
    return native.view(np.uint8) != 0 if dtype.kind == "b" else native


def _depth(content: Any) -> int:
    """How deeply arrays are nested directly in the values of an array of objects."""
    if type(content) is not list:
        raise TypeError(f"a {type(content).__name__} as the content of an array of objects")
    arrays = [value for value in content if type(value) is PickledArray]
    if any(value.array is None for value in arrays):
        raise TypeError("an array within itself, or without content")
    deepest = max((value.depth for value in arrays), default=0)
    if deepest >= _DEEPEST:
        raise ValueError("arrays nested too deeply")
    return deepest


def _objects(content: list[Any], shape: Any, order: Any) -> NDArray[Any]:
    if _size(shape) != len(content):
        raise ValueError("an array of objects with another number of values")
    values = np.empty(len(content), object)
    for index, value in enumerate(content):
        values[index] = value
    return values.reshape(shape, order=order)

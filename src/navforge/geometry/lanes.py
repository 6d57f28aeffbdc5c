"""Vector numbers: eight float64 that a compiled function handles as if they were one.

Why: numba does not vectorise loops over proposals by itself (too many arrays that might overlap), and formulas written
for vectors cannot run on CUDA. How: `Lanes` is a numba type whose value is LLVM's `<8 x double>`, `Mask` one of eight
booleans. Arithmetic and comparisons on them are typed and lowered in `lane_types`, so a function written in plain
arithmetic (`+ - * /`, comparisons, `abs`, `math.sqrt`, `math.floor`, `select`) compiles for `float64` and for `Lanes`
alike, and for CUDA threads as it is: one source. Each lane gets the bits the scalar gets (IEEE operations, nothing
contracted).
An array `(..., proposal)` is read and written by the same expression, `array[row, t, n]`: with an integer `n` it is one
number, with `n = lanes_at(first)` the eight numbers of proposals `first .. first + 7`. Numbers and booleans mix freely
with lanes (each lane gets them). A branch that lanes may take differently is a `select`; what all lanes share, such as
a loop over time, stays a branch. LLVM splits the vectors on machines whose registers are shorter. Outside compiled code
the functions below are plain Python on numbers, as CUDA's simulator needs them.
"""

# ruff: noqa: PLW0108 (numba compiles the lambdas that `overload` returns; an intrinsic in their place it would not)

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

from navforge.geometry.compiled import kernel
from navforge.geometry.lane_types import ALIGNMENT, I32, LANE_INDEX, LANES, MASK, NUMBERS, WIDTH

_intrinsic: Any = intrinsic  # as typed by numba, calls would need its typing context


def select(condition: Any, chosen: Any, other: Any) -> Any:
    """`chosen` where `condition` holds, else `other`; both are computed."""
    return chosen if condition else other


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two numbers; `a` if they are equal."""
    return b if b < a else a


def larger(a: Any, b: Any) -> Any:
    """The larger of two numbers; `a` if they are equal."""
    return b if b > a else a


def inverted(condition: Any) -> Any:
    """Where `condition` does not hold."""
    return not condition


def bits(condition: Any) -> int:
    """Integer whose bit n says whether the condition holds for lane n; 0 or 1 for a plain boolean."""
    return 1 if condition else 0


def any_lane(condition: Any) -> bool:
    """Whether a condition holds for any lane."""
    return bool(condition)


def all_lanes(condition: Any) -> bool:
    """Whether a condition holds for every lane."""
    return bool(condition)


def lane(value: Any, n: int) -> Any:
    """The number of lane `n`; a plain number is the same in every lane."""
    return value


def lanes_at(first: int) -> Any:
    """Index of eight neighbours along the last axis of a C-contiguous float64 array, as in `array[row, t, n]`.

    The caller sees to it that `first + 7` lies within the axis; numba checks no bounds.
    """
    raise NotImplementedError("lanes exist in compiled code only; index by an integer here")


@kernel(allocates=True)
def aligned(count):
    """Float64 array (count,) that begins at a line of the cache, so that no lanes in it straddle two."""
    buffer = np.empty(count + WIDTH - 1)
    skipped = (-buffer.ctypes.data % ALIGNMENT) // 8
    return buffer[skipped : skipped + count]


@kernel(allocates=True)
def lane_space(rows, steps):
    """Work space (rows, steps, 8) for one block of proposals, `aligned`."""
    return aligned(rows * steps * WIDTH).reshape(rows, steps, WIDTH)


def load(array: Any, i: int, j: int, k: int) -> Any:
    """Lanes `array[i, j, k : k + 8]`."""
    return array[i, j, lanes_at(k)]


def store(array: Any, i: int, j: int, k: int, value: Any) -> None:
    """Write lanes to `array[i, j, k : k + 8]`."""
    array[i, j, lanes_at(k)] = value


@_intrinsic
def _select(typingctx: Any, condition: Any, chosen: Any, other: Any) -> Any:
    result = MASK if MASK in (chosen, other) or isinstance(chosen, types.Boolean) else LANES

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        both = [context.cast(builder, arg, kind, result) for arg, kind in zip(args[1:], sig.args[1:], strict=True)]
        return builder.select(args[0], *both)

    return result(condition, chosen, other), emit


@_intrinsic
def _inverted(typingctx: Any, condition: Any) -> Any:
    return MASK(MASK), lambda context, builder, sig, args: builder.not_(args[0])


@_intrinsic
def _bits(typingctx: Any, condition: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(WIDTH)), ir.IntType(64))

    return types.int64(MASK), emit


@_intrinsic
def _lane(typingctx: Any, value: Any, n: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.extract_element(args[0], builder.trunc(args[1], I32))

    return (types.boolean if value == MASK else types.float64)(value, types.int64), emit


@_intrinsic
def _lanes_at(typingctx: Any, first: Any) -> Any:
    return LANE_INDEX(types.int64), lambda context, builder, sig, args: args[0]


def _pointer(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    """Pointer to the eight numbers that `array[index]` names, `args` beginning with array and index."""
    array = context.make_array(sig.args[0])(context, builder, args[0])
    indices = cgutils.unpack_tuple(builder, args[1])
    indices = [
        index if kind == LANE_INDEX else context.cast(builder, index, kind, types.intp)
        for index, kind in zip(indices, sig.args[1], strict=True)
    ]
    first = cgutils.get_item_pointer(context, builder, sig.args[0], array, indices, wraparound=False)
    return builder.bitcast(first, NUMBERS.as_pointer())


@_intrinsic
def _load(typingctx: Any, array: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, sig, args), align=8)

    return LANES(array, index), emit


@_intrinsic
def _store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, sig, args), align=8)
        return context.get_dummy_value()

    return types.void(array, index, LANES), emit


def _names_lanes(array: Any, index: Any) -> bool:
    if not (isinstance(array, types.Array) and isinstance(index, types.Tuple) and index[-1] == LANE_INDEX):
        return False
    if array.layout != "C" or array.dtype != types.float64 or array.ndim != len(index):
        raise TypingError(f"lanes are read from C-contiguous float64 arrays with one index per axis; got {array}")
    return True


@overload(operator.getitem)
def _overload_getitem(array, index):
    return (lambda array, index: _load(array, index)) if _names_lanes(array, index) else None


@overload(operator.setitem)
def _overload_setitem(array, index, value):
    return (lambda array, index, value: _store(array, index, value)) if _names_lanes(array, index) else None


@overload(select, target="generic")
def _overload_select(condition, chosen, other):
    if condition == MASK:
        return lambda condition, chosen, other: _select(condition, chosen, other)
    return lambda condition, chosen, other: chosen if condition else other


@overload(smaller, target="generic")
def _overload_smaller(a, b):
    return lambda a, b: select(b < a, b, a)


@overload(larger, target="generic")
def _overload_larger(a, b):
    return lambda a, b: select(b > a, b, a)


@overload(inverted, target="generic")
def _overload_inverted(condition):
    return (lambda condition: _inverted(condition)) if condition == MASK else (lambda condition: not condition)


@overload(bits, target="generic")
def _overload_bits(condition):
    return (lambda condition: _bits(condition)) if condition == MASK else (lambda condition: 1 if condition else 0)


@overload(any_lane, target="generic")
def _overload_any_lane(condition):
    return lambda condition: bits(condition) != 0


@overload(all_lanes, target="generic")
def _overload_all_lanes(condition):
    every = (1 << WIDTH) - 1 if condition == MASK else 1
    return lambda condition: bits(condition) == every


@overload(lane, target="generic")
def _overload_lane(value, n):
    return (lambda value, n: _lane(value, n)) if value in (LANES, MASK) else (lambda value, n: value)


@overload(lanes_at)
def _overload_lanes_at(first):
    return lambda first: _lanes_at(first)


@overload(load)
def _overload_load(array, i, j, k):
    return lambda array, i, j, k: array[i, j, lanes_at(k)]


@overload(store)
def _overload_store(array, i, j, k, value):
    def implementation(array, i, j, k, value):
        array[i, j, lanes_at(k)] = value

    return implementation

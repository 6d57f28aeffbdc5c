"""Time masks: what holds at which steps of a proposal as one integer, bit t for step t.

Compiled to single instructions; outside compiled code plain Python on integers, as CUDA's simulator needs them.
"""

# ruff: noqa: PLW0108 (numba compiles the lambdas that `overload` returns; an intrinsic in their place it would not)
from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

MASK_STEPS = 64
"""Steps one time mask can hold."""

_intrinsic: Any = intrinsic  # as typed by numba, calls would need its typing context


def lowest(mask: int) -> int:
    """Position of the lowest set bit; `mask` is not 0."""
    return int(mask & -mask).bit_length() - 1


def marked(codes: Any, row: int, n: int, pattern: int) -> int:
    """Time mask of the steps t at which `codes[row, n, t]` has a bit of `pattern` set.

    Args:
        codes: (rows, N, 64) uint8, C-contiguous.
        row: which row.
        n: which proposal.
        pattern: bits looked for, below 256.
    """
    return sum(1 << t for t in range(MASK_STEPS) if int(codes[row, n, t]) & pattern)


@_intrinsic
def _lowest(typingctx: Any, mask: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), emit


@_intrinsic
def _marked(typingctx: Any, codes: Any, row: Any, n: Any, pattern: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = context.make_array(sig.args[0])(context, builder, args[0])
        start = [*args[1:3], ir.Constant(ir.IntType(64), 0)]
        first = cgutils.get_item_pointer(context, builder, sig.args[0], array, start, wraparound=False)
        vector = ir.VectorType(ir.IntType(8), MASK_STEPS)
        values = builder.load(builder.bitcast(first, vector.as_pointer()), align=1)
        wanted = builder.insert_element(
            ir.Constant(vector, ir.Undefined), builder.trunc(args[3], ir.IntType(8)), ir.Constant(ir.IntType(32), 0)
        )
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), MASK_STEPS), [0] * MASK_STEPS)
        wanted = builder.shuffle_vector(wanted, ir.Constant(vector, ir.Undefined), everywhere)
        found = builder.icmp_unsigned("!=", builder.and_(values, wanted), ir.Constant(vector, [0] * MASK_STEPS))
        return builder.bitcast(found, ir.IntType(MASK_STEPS))

    return types.int64(codes, types.int64, types.int64, types.int64), emit


@overload(lowest, target="generic")
def _overload_lowest(mask):
    return lambda mask: _lowest(mask)


@overload(marked)
def _overload_marked(codes, row, n, pattern):
    if not (codes.layout == "C" and codes.ndim == 3 and codes.dtype == types.uint8):
        raise TypingError(f"codes must be a C-contiguous (rows, N, {MASK_STEPS}) array of uint8; got {codes}")
    return lambda codes, row, n, pattern: _marked(codes, row, n, pattern)

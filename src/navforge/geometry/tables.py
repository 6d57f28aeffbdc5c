"""Look-ups in tables of bytes by eight proposals at once (`geometry.lanes`)."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import LANES, WIDTH

_intrinsic: Any = intrinsic  # as typed by numba, calls would need its typing context


@_intrinsic
def _store_truncated(typingctx: Any, array: Any, row: Any, value: Any) -> Any:
    if not (array.layout == "C" and array.ndim == 2 and array.dtype == types.int64 and value == LANES):
        raise TypingError(f"truncated lanes are stored in rows of a C-contiguous int64 array; got {array}, {value}")

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole = builder.fptosi(args[2], ir.VectorType(ir.IntType(64), WIDTH))
        target = context.make_array(sig.args[0])(context, builder, args[0])
        first = [args[1], ir.Constant(ir.IntType(64), 0)]
        pointer = cgutils.get_item_pointer(context, builder, sig.args[0], target, first, wraparound=False)
        builder.store(whole, builder.bitcast(pointer, whole.type.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), emit


@kernel
def gather(table, index, indices, codes, row, t):
    """Set `codes[row, l, t]` to `table[index of lane l]` for each lane l.

    Args:
        table: (cells,) uint8.
        index: lanes of whole numbers within the table.
        indices: (rows, 8) int64, work space; its row `row` is overwritten.
        codes: (rows, 8, 64) uint8, one time mask's worth of codes for each lane.
        row: which row of `codes` and `indices`.
        t: step.
    """
    _store_truncated(indices, row, index)
    for n in range(WIDTH):
        codes[row, n, t] = table[indices[row, n]]

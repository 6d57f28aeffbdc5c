"""Eight rows of eight numbers reduced to one number per row, all rows at once.

Bounds over eight proposals (`geometry.lanes`) at eight times become lanes over the times: two rows are folded into one
whose halves are theirs, three times over. Exact, as minima and maxima are.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from navforge.geometry.compiled import kernel
from navforge.geometry.lanes import LANES, WIDTH, larger, load, smaller

_intrinsic: Any = intrinsic  # as typed by numba, calls would need its typing context
_INDICES = ir.VectorType(ir.IntType(32), WIDTH)


def _every_second(first: int) -> Any:
    """Emit the lanes first, first + 2, ... of two vectors laid end to end."""
    chosen = ir.Constant(_INDICES, list(range(first, 2 * WIDTH, 2)))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.shuffle_vector(args[0], args[1], chosen)

    return emit


@_intrinsic
def _even(typingctx, a, b) -> Any:
    return LANES(LANES, LANES), _every_second(0)


@_intrinsic
def _odd(typingctx, a, b) -> Any:
    return LANES(LANES, LANES), _every_second(1)


@kernel(inline="always")
def _fold_smaller(a, b):
    return smaller(_even(a, b), _odd(a, b))


@kernel(inline="always")
def _fold_larger(a, b):
    return larger(_even(a, b), _odd(a, b))


@kernel
def row_minima(array, i, first):
    """Lanes w = smallest of `array[i, first + w, :8]`; `array` (rows, R, 8) float64."""
    a = _fold_smaller(load(array, i, first, 0), load(array, i, first + 1, 0))
    b = _fold_smaller(load(array, i, first + 2, 0), load(array, i, first + 3, 0))
    c = _fold_smaller(load(array, i, first + 4, 0), load(array, i, first + 5, 0))
    d = _fold_smaller(load(array, i, first + 6, 0), load(array, i, first + 7, 0))
    return _fold_smaller(_fold_smaller(a, b), _fold_smaller(c, d))


@kernel
def row_maxima(array, i, first):
    """Lanes w = largest of `array[i, first + w, :8]`; `array` (rows, R, 8) float64."""
    a = _fold_larger(load(array, i, first, 0), load(array, i, first + 1, 0))
    b = _fold_larger(load(array, i, first + 2, 0), load(array, i, first + 3, 0))
    c = _fold_larger(load(array, i, first + 4, 0), load(array, i, first + 5, 0))
    d = _fold_larger(load(array, i, first + 6, 0), load(array, i, first + 7, 0))
    return _fold_larger(_fold_larger(a, b), _fold_larger(c, d))

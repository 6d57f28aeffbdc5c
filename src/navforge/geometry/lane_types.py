"""The numba types behind `geometry.lanes`, their arithmetic and comparisons, lowered to LLVM's vectors."""

from __future__ import annotations

import math
import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typeconv.castgraph import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, lower_cast, models, register_model

WIDTH = 8
"""Numbers in one `Lanes`."""

ALIGNMENT = 8 * WIDTH
"""Bytes: lanes that begin at multiples of it lie in one line of the cache."""

I32 = ir.IntType(32)
NUMBERS = ir.VectorType(ir.DoubleType(), WIDTH)
BOOLEANS = ir.VectorType(ir.IntType(1), WIDTH)


class Lanes(types.Type):
    """Eight float64, one per proposal."""

    def __init__(self) -> None:
        super().__init__("Lanes")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        """How numba may convert another type to this one."""
        return _conversion(other, types.Number)

    def unify(self, typingctx: Any, other: types.Type) -> types.Type | None:
        """The type of a variable that holds this type and another."""
        return self if isinstance(other, types.Number) else None


class Mask(types.Type):
    """Eight booleans, one per proposal."""

    def __init__(self) -> None:
        super().__init__("Mask")

    def can_convert_from(self, typingctx: Any, other: types.Type) -> Conversion | None:
        """How numba may convert another type to this one."""
        return _conversion(other, types.Boolean)

    def unify(self, typingctx: Any, other: types.Type) -> types.Type | None:
        """The type of a variable that holds this type and another."""
        return self if isinstance(other, types.Boolean) else None


class LaneIndex(types.Type):
    """Where eight neighbours along the last axis of an array begin."""

    def __init__(self) -> None:
        super().__init__("LaneIndex")


LANES = Lanes()
MASK = Mask()
LANE_INDEX = LaneIndex()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: types.Type) -> None:
        super().__init__(manager, fe_type, NUMBERS)


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: types.Type) -> None:
        super().__init__(manager, fe_type, BOOLEANS)


@register_model(LaneIndex)
class _LaneIndexModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: types.Type) -> None:
        super().__init__(manager, fe_type, ir.IntType(64))


def _conversion(other: types.Type, accepted: type) -> Conversion | None:
    return Conversion.safe if isinstance(other, accepted) else None


def _splat(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    everywhere = ir.Constant(ir.VectorType(I32, WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, undefined, everywhere)


@lower_cast(types.Number, Lanes)
def _number_to_lanes(context: Any, builder: Any, from_type: types.Type, to_type: types.Type, value: Any) -> Any:
    return _splat(builder, context.cast(builder, value, from_type, types.float64), NUMBERS)


@lower_cast(types.Boolean, Mask)
def _boolean_to_mask(context: Any, builder: Any, from_type: types.Type, to_type: types.Type, value: Any) -> Any:
    return _splat(builder, context.cast(builder, value, from_type, types.boolean), BOOLEANS)


def _align_stack(function: Any) -> None:
    """Begin the stack of a function at a line of the cache, or the lanes that LLVM keeps there straddle two."""
    function.attributes.alignstack = ALIGNMENT
    function.attributes.add("nounwind")  # llvmlite writes the alignment only beside a named attribute


def _define(function: Any, arity: int, operand: types.Type, plain: type, result: types.Type, emit: Any) -> None:
    """Type and lower `function` on operands of which at least one is `operand`, the others `operand` or `plain`."""

    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if kws or len(args) != arity or operand not in args:
                return None
            if all(arg == operand or isinstance(arg, plain) for arg in args):
                return signature(result, *[operand] * arity)
            return None

    register: Any = infer_global(function)
    register(Template)

    @lower_builtin(function, *[operand] * arity)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _align_stack(builder.function)
        return emit(builder, *args)


def _llvm(name: str) -> Any:
    def emit(builder: Any, value: Any) -> Any:
        declared = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(NUMBERS, [NUMBERS]), f"llvm.{name}.v{WIDTH}f64"
        )
        return builder.call(declared, [value])

    return emit


def _compare(sign: str) -> Any:
    if sign == "!=":
        return lambda builder, a, b: builder.fcmp_unordered(sign, a, b)
    return lambda builder, a, b: builder.fcmp_ordered(sign, a, b)


for _operators, _emit in (
    ((operator.add, operator.iadd), lambda builder, a, b: builder.fadd(a, b)),
    ((operator.sub, operator.isub), lambda builder, a, b: builder.fsub(a, b)),
    ((operator.mul, operator.imul), lambda builder, a, b: builder.fmul(a, b)),
    ((operator.truediv, operator.itruediv), lambda builder, a, b: builder.fdiv(a, b)),
):
    for _operator in _operators:
        _define(_operator, 2, LANES, types.Number, LANES, _emit)
for _operator, _sign in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _define(_operator, 2, LANES, types.Number, MASK, _compare(_sign))
for _operators, _emit in (
    ((operator.and_, operator.iand), lambda builder, a, b: builder.and_(a, b)),
    ((operator.or_, operator.ior), lambda builder, a, b: builder.or_(a, b)),
    ((operator.xor, operator.ixor), lambda builder, a, b: builder.xor(a, b)),
):
    for _operator in _operators:
        _define(_operator, 2, MASK, types.Boolean, MASK, _emit)
_define(operator.neg, 1, LANES, types.Number, LANES, lambda builder, a: builder.fneg(a))
_define(abs, 1, LANES, types.Number, LANES, _llvm("fabs"))
_define(math.sqrt, 1, LANES, types.Number, LANES, _llvm("sqrt"))
_define(math.floor, 1, LANES, types.Number, LANES, _llvm("floor"))

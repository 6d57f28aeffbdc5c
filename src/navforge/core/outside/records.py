"""Dataclasses from plain values of outside: every field is there, of its type, and a number where a number is due."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from functools import cache
from typing import Any, TypeVar

from navforge.core.outside.files import shown

RecordT = TypeVar("RecordT")


def record(kind: type[RecordT], values: Any, *, newer: bool = False) -> RecordT:
    """A dataclass of the values of a JSON object, checked field by field.

    Fields may be `bool`, `int`, `float`, `str`, None, `Any`, other such dataclasses, and tuples, lists and dicts of
    these. Whole numbers are taken for floats; NaN and infinity are refused, as JSON has none.

    Args:
        kind: the dataclass.
        values: what was read.
        newer: leave out keys that the dataclass does not know, which a newer version may have written.

    Raises:
        ValueError: the values do not fit; names the field.
    """
    return _record(kind, values, "", newer)


def _record(kind: Any, values: Any, where: str, newer: bool) -> Any:
    if not isinstance(values, dict):
        raise ValueError(f"{where or 'it'} is {shown(values)}, not an object")
    known = _fields(kind)
    prefix = f"{where}." if where else ""
    if not newer and (unknown := [name for name in values if name not in known]):
        raise ValueError(f"unknown key {shown(prefix + str(unknown[0]))}")
    absent = [name for name, (_, required) in known.items() if required and name not in values]
    if absent:
        raise ValueError(f"key {prefix}{absent[0]} is missing")
    return kind(
        **{name: _value(known[name][0], value, prefix + name, newer) for name, value in values.items() if name in known}
    )


@cache
def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Type of each field, and whether it has to be given."""
    hints = typing.get_type_hints(kind)
    none = dataclasses.MISSING
    return {
        f.name: (hints[f.name], f.default is none and f.default_factory is none)
        for f in dataclasses.fields(kind)
        if f.init
    }


def _value(kind: Any, value: Any, where: str, newer: bool) -> Any:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        (kind,) = [part for part in parts if part is not type(None)]
        return _value(kind, value, where, newer)
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, where, newer)
    if origin in (tuple, list) and isinstance(value, list | tuple):
        several = parts if origin is tuple and parts[-1] is not Ellipsis else [parts[0]] * len(value)
        if len(several) == len(value):
            return origin(_value(p, v, f"{where}[{i}]", newer) for i, (p, v) in enumerate(zip(several, value)))  # noqa: B905
    elif origin is dict and isinstance(value, dict):
        return {name: _value(parts[1], item, f"{where}.{name}", newer) for name, item in value.items()}
    elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif kind in (bool, int, str) and type(value) is kind:
        return value
    raise ValueError(f"{where} is {shown(value)}, expected {getattr(kind, '__name__', kind) if not origin else kind}")

"""Text, JSON and YAML from outside: UTF-8, bounded in size and nesting, every key once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from navforge.core.errors import DataError, NavforgeError
from navforge.core.outside.files import but_is, read_bytes, shown

LARGEST_TEXT = 1 << 28
"""Bytes of the largest text file that is read."""
DEEPEST = 48
"""Lists and mappings within each other."""
_MOST_NODES = 5_000_000
"""Values of a YAML text once its aliases are put in."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_INDENT = re.compile(r"^[ \t\-?:]*", re.MULTILINE)


def read_text(
    path: Path | str, what: str, *, missing: str = "", empty: bool = False, error: type[NavforgeError] = DataError
) -> str:
    """A UTF-8 text file; arguments as `open_regular`.

    Raises:
        NavforgeError: of class `error`: as `open_regular`, or not UTF-8; names the offset of the first wrong byte.
    """
    content = read_bytes(path, what, limit=LARGEST_TEXT, missing=missing, empty=empty, error=error)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = content.count(b"\n", 0, failure.start) + 1
        raise error(
            f"{what} {path} is not UTF-8 text: byte 0x{content[failure.start]:02x} at offset {failure.start} "
            f"(line {line}){but_is(content[:16])}"
        ) from failure


def parse_json(text: str) -> Any:
    """A JSON value.

    Raises:
        ValueError: not JSON, NaN or infinity, a key that occurs twice, or nested deeper than `DEEPEST`.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError(f"nested deeper than {DEEPEST} levels") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return value
    raise ValueError(f"nested deeper than {DEEPEST} levels")


def read_json(path: Path | str, what: str, *, missing: str = "", remedy: str = "") -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: the file.
        what: what it is to the user.
        missing: how to get it where it is not there.
        remedy: what to do about a damaged one.

    Raises:
        DataError: as `read_text`, or not a JSON object; names the file.
    """
    text = read_text(path, what, missing=missing)
    remedy = f"; {remedy}" if remedy else ""
    try:
        value = parse_json(text)
    except ValueError as failure:
        raise DataError(f"{what} {path} is damaged: {failure}{remedy}") from failure
    if not isinstance(value, dict):
        raise DataError(f"{what} {path} is damaged: it holds {shown(value)}, not an object{remedy}")
    return value


def parse_yaml(text: str, *, as_written: bool = False) -> Any:
    """A YAML value of plain types; `as_written` leaves scalars the texts they are.

    Raises:
        ValueError: not YAML, a key that occurs twice, nested deeper than `DEEPEST`, or aliases that multiply its size;
            the message names the line.
    """
    try:
        _check_depth(text)
        loader = (_TEXT_LOADER if as_written else _LOADER)(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _size(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}{failure.problem or failure.context}") from failure
    except (yaml.YAMLError, RecursionError, TypeError, AttributeError, LookupError, OverflowError) as failure:
        raise ValueError(str(failure).splitlines()[0] if str(failure) else type(failure).__name__) from failure


def read_yaml(
    path: Path | str,
    what: str,
    *,
    missing: str = "",
    error: type[NavforgeError] = DataError,
    as_written: bool = False,
) -> Any:
    """The value in a YAML file; arguments as `open_regular` and `parse_yaml`.

    Raises:
        NavforgeError: of class `error`: as `read_text` and `parse_yaml`; names the file.
    """
    text = read_text(path, what, missing=missing, error=error)
    try:
        return parse_yaml(text, as_written=as_written)
    except ValueError as failure:
        raise error(f"{what} {path} is not valid YAML: {failure}") from failure


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {shown(next(key for key in keys if keys.count(key) > 1))} occurs twice")
    return value


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(text: str) -> None:
    """Raise for nesting that would exhaust the stack of the parser in C; event by event only where it is possible."""
    brackets = text.count("[") + text.count("{")
    indent = max((len(match[0]) for match in _INDENT.finditer(text)), default=0)
    if brackets + 2 * indent < DEEPEST:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"line {event.start_mark.line + 1}: nested deeper than {DEEPEST} levels")


def _size(node: Any, known: dict[int, int]) -> int:
    """Number of values in a node, aliases put in; raises ValueError for repeated keys and for too many values."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        if known[id(node)] < 0:
            raise ValueError(f"line {node.start_mark.line + 1}: an alias refers to what it is part of")
        return known[id(node)]
    known[id(node)] = -1
    children = node.value
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise ValueError(
                        f"line {line}: key {shown(key.value)} occurs twice, first in line {lines[key.value]}; "
                        "remove one of the two"
                    )
                lines[key.value] = line
        children = [part for pair in node.value for part in pair]
    size = 1 + sum(_size(child, known) for child in children)
    if size > _MOST_NODES:
        raise ValueError(f"line {node.start_mark.line + 1}: more than {_MOST_NODES} values, aliases put in")
    known[id(node)] = size
    return size

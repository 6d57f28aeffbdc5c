"""How deep and how large the values of a pickle would be, measured before any of them is made.

A pickle is a program for a stack machine. A few bytes of it can ask for gigabytes, nest tuples until hashing one
exhausts the stack, or share them until hashing one takes for ever. `measure` runs the program on sizes in place of
values. It is written in the part of Python that numba compiles: logs are measured by compiled code (`data.pickles`),
the few kilobytes of a checkpoint as it stands.
"""

from __future__ import annotations

import pickletools
from array import array
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

DEEPEST: Final = 64
"""Values within values; logs have about 10."""
_MOST_WORK: Final = 1 << 25
_WORK_PER_BYTE: Final = 64
"""Values put into others, each with all it holds, may be this many per byte, or `_MOST_WORK` in a small file."""

_LINE, _TWO_LINES = -10, -11
"""Arguments that end at a line break, and at the second one; other negative ones are those of `pickletools`."""
_SIZES = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4}
_SIZES |= {pickletools.TAKEN_FROM_ARGUMENT4U: 4, pickletools.TAKEN_FROM_ARGUMENT8U: 8}
_NEW, _CHANGE, _PUT, _GET, _MARK, _DUP, _STOP, _UNKNOWN = range(8)
_CHANGES = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
_KINDS = {"MARK": _MARK, "DUP": _DUP, "STOP": _STOP, "MEMOIZE": _PUT} | dict.fromkeys(_CHANGES, _CHANGE)
_KINDS |= {f"{size}{name}": kind for name, kind in (("PUT", _PUT), ("GET", _GET)) for size in ("", "BIN", "LONG_BIN")}

_FINE, _CUT, _BROKEN, _DEEP, _MANY, _CIRCLE = range(6)
_WORDS = {
    _CUT: "it is cut off, or states a length beyond its end",
    _BROKEN: "it is not a pickle",
    _DEEP: f"values are nested deeper than {DEEPEST} levels",
    _MANY: "values are shared so often that they would fill the memory",
    _CIRCLE: "a value holds itself",
}

Measure = Callable[..., tuple[int, int]]


class Instructions(NamedTuple):
    """What an instruction does, by its code (256)."""

    kind: Any
    argument: Any
    """Bytes of its argument, or how they are found."""
    pops: Any
    """Values it takes from the stack, a mark and what is above it left out."""
    to_mark: Any
    """Whether it takes the mark and what is above it."""
    pushes: Any
    """Values it leaves."""


class Work(NamedTuple):
    """Work space of `measure`: zeros, one per byte of the pickle and one more."""

    depth: Any
    """Levels of a value."""
    size: Any
    """Values in a value, those shared counted every time."""
    used: Any
    """Whether a value was put into another."""
    stack: Any
    """Numbers of values, -1 a mark."""
    memo: Any
    """Numbers of values plus 1, as the pickle numbers them."""


def check(content: bytes, start: int = 0, *, compiled: Measure | None = None) -> int:
    """Measure the pickle at `start` of `content`; return where it ends.

    Args:
        content: bytes that hold the pickle.
        start: offset of its first byte.
        compiled: `measure`, compiled; without it Python runs it, at about a microsecond per instruction.

    Raises:
        ValueError: not a pickle, cut off, or its values are too deep or too many; says at which byte.
    """
    count = len(content) - start + 1
    if compiled is None:
        work = Work(*(array("q", bytes(8 * count)) for _ in Work._fields))
        reason, position = measure(content, start, _INSTRUCTIONS, work)
    else:
        instructions = Instructions(*map(np.array, _INSTRUCTIONS))
        work = Work(*(np.zeros(count, np.int64) for _ in Work._fields))
        reason, position = compiled(np.frombuffer(content, np.uint8), start, instructions, work)
    if reason != _FINE:
        raise ValueError(f"{_WORDS[reason]} (byte {position})")
    return position


def measure(data: Any, start: int, instructions: Instructions, space: Work) -> tuple[int, int]:
    """Reason to refuse the pickle that begins at `start` of `data`, and where; or 0, and the offset behind it."""
    kinds, arguments, pops, to_mark, pushes = instructions
    depth, size, used, stack, memo = space
    end = len(data)
    most = _MOST_WORK + _WORK_PER_BYTE * (end - start)
    position, top, values, memoised, work = start, 0, 0, 0, 0
    while position < end:
        at = position
        code = int(data[position])
        position += 1
        kind = kinds[code]
        if kind == _UNKNOWN:
            return _BROKEN, at
        # The argument: its place and length, or the number it states.
        length, number = arguments[code], 0
        if length in (_LINE, _TWO_LINES):
            lines = 1 if length == _LINE else 2
            while lines > 0:
                if position >= end:
                    return _CUT, at
                digit = int(data[position]) - 48
                if lines == 1 and 0 <= digit <= 9 and number <= end:
                    number = 10 * number + digit
                lines -= 1 if digit == 10 - 48 else 0
                position += 1
        else:
            fixed = length if length >= 0 else -length
            if fixed > end - position:
                return _CUT, at
            for i in range(fixed - 1, -1, -1):
                number = 256 * number + int(data[position + i]) if number <= end else number
            position += fixed
            if length < 0:
                if number > end - position:
                    return _CUT, at
                position += number
        # What it does to the stack.
        if kind == _MARK:
            stack[top] = -1
            top += 1
            continue
        if kind == _GET:
            if number >= len(memo) or memo[number] == 0:
                return _BROKEN, at
            stack[top] = memo[number] - 1
            top += 1
            continue
        if kind == _STOP:
            return (_FINE, position) if top > 0 and stack[top - 1] >= 0 else (_BROKEN, at)
        low = top
        if to_mark[code]:
            low -= 1
            while low >= 0 and stack[low] >= 0:
                low -= 1
        low -= pops[code]
        if low < 0:
            return _BROKEN, at
        if kind == _PUT:
            place = number if arguments[code] != 0 else memoised
            if place >= len(memo) or stack[low] < 0:
                return _BROKEN, at
            memoised += 1 if memo[place] == 0 else 0
            memo[place] = stack[low] + 1
            continue
        if kind == _DUP:
            if stack[low] < 0:
                return _BROKEN, at
            stack[top] = stack[low]
            top += 1
            continue
        if pushes[code] == 0:
            top = low
            continue
        target = values
        first = low
        if kind == _CHANGE:
            target = stack[low]
            if target < 0:
                return _BROKEN, at
            first = low + 1
            if used[target] and first < top - to_mark[code]:
                return _CIRCLE, at
        else:
            depth[target] = 1
            size[target] = 1
            values += 1
        for i in range(first, top):
            part = stack[i]
            if part >= 0:
                if part == target:
                    return _CIRCLE, at
                used[part] = 1
                depth[target] = max(depth[target], depth[part] + 1)
                size[target] += size[part]
                work += size[part]
            elif not to_mark[code]:
                return _BROKEN, at
        if depth[target] > DEEPEST:
            return _DEEP, at
        if work > most:
            return _MANY, at
        stack[low] = target
        top = low + 1
    return _CUT, end


def _instructions() -> Instructions:
    kinds, arguments, pops, to_mark, pushes = [_UNKNOWN] * 256, [0] * 256, [0] * 256, [0] * 256, [0] * 256
    for instruction in pickletools.opcodes:
        code, before = ord(instruction.code), [item.name for item in instruction.stack_before]
        kinds[code] = _KINDS.get(instruction.name, _NEW)
        marked = "mark" in before
        to_mark[code] = int(marked)
        pops[code] = before.index("mark") if marked else len(before)
        pushes[code] = len(instruction.stack_after)
        if kinds[code] == _PUT or instruction.name == "DUP":
            pops[code], pushes[code] = 1, 1
        if instruction.arg is None:
            continue
        length = instruction.arg.n
        if length == pickletools.UP_TO_NEWLINE:
            length = _TWO_LINES if instruction.arg.name.endswith("pair") else _LINE
        arguments[code] = -_SIZES[length] if length in _SIZES else length
    return Instructions(kinds, arguments, pops, to_mark, pushes)


_INSTRUCTIONS = _instructions()

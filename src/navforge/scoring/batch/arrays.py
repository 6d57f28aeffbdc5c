"""Prepared scenes side by side in one piece of memory, so that one launch scores many of them, on CPU or GPU.

Every array of `scoring.arrays` follows that of the scene before; `start` says where each scene begins. Whatever
a scene's arrays refer to by number (rings, members, boxes) stays counted from the scene's own beginning. `scene_of`
gives a scene's named tuples back as slices, in compiled code for CPU and CUDA alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numba import types
from numba.extending import overload
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.scoring.arrays import AreaArrays, ComfortArrays, LightArrays, PathArrays, TrafficArrays

ALIGNMENT = 256
"""Bytes at which arrays of a batch begin, as GPUs read best."""


class SceneArrays(NamedTuple):
    """What kernels read of one scene under the rules of one release."""

    ego_state: NDArray[np.float64]
    """(11,) current state, global frame."""
    frame: NDArray[np.float64]
    """(`kernels_motion.FRAME_SIZE`,) x, y, cosine and sine of its pose, in whose frame the arrays below are."""
    time_us: int
    """Time of the current frame."""
    areas: AreaArrays
    path: PathArrays
    traffic: TrafficArrays
    lights: LightArrays
    comfort: ComfortArrays


class BatchArrays(NamedTuple):
    """Arrays of S scenes."""

    start: NDArray[np.int64]
    """(fields, S + 1) by field in the order of `leaves`: scene s has items start[f, s] .. start[f, s + 1] - 1."""
    scenes: SceneArrays
    """Each array those of all scenes, joined along the first axis; a number per scene is an array (S,)."""


def scene_of(batch: BatchArrays, s: int) -> SceneArrays:
    """The named tuples of scene s; its arrays are slices of the batch's. Callable from compiled code."""
    counter = iter(range(_field_count(SceneArrays)))
    return _slices(batch.scenes, batch.start, s, counter)


def _slices(joined: Any, start: NDArray[np.int64], s: int, counter: Iterator[int]) -> Any:
    members = []
    for member, is_number in zip(joined, _numbers(type(joined)), strict=True):
        if isinstance(member, tuple):
            members.append(_slices(member, start, s, counter))
        else:
            field = next(counter)
            members.append(member[s] if is_number else member[start[field, s] : start[field, s + 1]])
    return type(joined)(*members)


@overload(scene_of, target="generic")
def _overload_scene_of(batch, s):
    """The same as an expression over all fields, made from the type."""
    names: dict[str, Any] = {}
    expression = _expression(batch.types[1], "batch.scenes", iter(range(_field_count(SceneArrays))), names)
    exec(f"def implementation(batch, s):\n    return {expression}\n", names)
    return names["implementation"]


def _expression(kind: types.NamedTuple, path: str, counter: Iterator[int], names: dict[str, Any]) -> str:
    members = []
    named = kind.instance_class
    for name, member, is_number in zip(kind.fields, kind.types, _numbers(named), strict=True):
        if isinstance(member, types.NamedTuple):
            members.append(_expression(member, f"{path}.{name}", counter, names))
        else:
            field = next(counter)
            items = "s" if is_number else f"batch.start[{field}, s] : batch.start[{field}, s + 1]"
            members.append(f"{path}.{name}[{items}]")
    names[named.__name__] = named
    return f"{named.__name__}({', '.join(members)})"


@cache
def _numbers(named: type) -> tuple[bool, ...]:
    """Which fields of a named tuple are plain numbers."""
    return tuple(hint in (int, float, bool) for hint in _hints(named))


@cache
def _field_count(named: type) -> int:
    return sum(_field_count(hint) if hasattr(hint, "_fields") else 1 for hint in _hints(named))


@cache
def _hints(named: type) -> tuple[Any, ...]:
    """Types of the fields of a named tuple."""
    return tuple(get_type_hints(named).values())


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any, bool]]:
    """(path, array or number, whether a number) of every field of nested named tuples, depth first."""
    for name, member, is_number in zip(value._fields, value, _numbers(type(value)), strict=True):
        if isinstance(member, tuple):
            yield from leaves(member, f"{path}{name}.")
        else:
            yield f"{path}{name}", member, is_number


class Field(NamedTuple):
    """Where one array of a batch lies in its memory."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Layout(NamedTuple):
    """Where all arrays of a batch lie in its memory, `start` first."""

    fields: tuple[Field, ...]
    size: int
    """Bytes."""


def layout_of(scenes: Sequence[SceneArrays]) -> tuple[Layout, NDArray[np.int64]]:
    """Layout of a batch of these scenes, and its `start`.

    Raises:
        DataError: no scenes, or arrays that cannot be joined.
    """
    if not scenes:
        raise DataError("a batch needs at least one scene")
    columns = list(zip(*(leaves(scene) for scene in scenes), strict=True))
    start = np.zeros((len(columns), len(scenes) + 1), dtype=np.int64)
    kinds: list[tuple[tuple[int, ...], np.dtype[Any]]] = [(start.shape, start.dtype)]
    for f, column in enumerate(columns):
        path, first, is_number = column[0]
        if is_number:
            start[f] = np.arange(len(scenes) + 1)
            kinds.append(((len(scenes),), np.asarray(first).dtype))
            continue
        np.cumsum([len(member) for _, member, _ in column], out=start[f, 1:])
        rests = {member.shape[1:] for _, member, _ in column if len(member)} or {first.shape[1:]}
        dtypes = {member.dtype for _, member, _ in column}
        if len(rests) > 1 or len(dtypes) > 1:
            raise DataError(
                f"scenes of a batch differ in the shape or type of {path}: {sorted(map(str, rests | dtypes))}; prepare "
                "them alike, or score them in batches of their own"
            )
        kinds.append(((int(start[f, -1]), *rests.pop()), dtypes.pop()))
    fields, offset = [], 0
    for shape, dtype in kinds:
        fields.append(Field(offset, shape, dtype))
        offset += -(-fields[-1].size // ALIGNMENT) * ALIGNMENT
    return Layout(tuple(fields), offset), start


def fill(scenes: Sequence[SceneArrays], layout: Layout, start: NDArray[np.int64], memory: NDArray[np.uint8]) -> None:
    """Write a batch into memory of `layout.size` bytes."""
    arrays = [_view(memory, field) for field in layout.fields]
    arrays[0][:] = start
    for target, column in zip(arrays[1:], zip(*(leaves(scene) for scene in scenes), strict=True), strict=True):
        if column[0][2]:
            target[:] = [number for _, number, _ in column]
        elif len(target):
            np.concatenate([member for _, member, _ in column if len(member)], out=target)


def _view(memory: NDArray[np.uint8], field: Field) -> NDArray[Any]:
    return memory[field.offset : field.offset + field.size].view(field.dtype).reshape(field.shape)


def arrays_in(layout: Layout, view: Callable[[Field], Any]) -> BatchArrays:
    """The named tuples of a batch, `view` giving each array of its memory, on whatever device."""
    remaining = iter([view(field) for field in layout.fields])
    start = next(remaining)
    return BatchArrays(start, _nested(SceneArrays, remaining))


def _nested(named: Any, remaining: Iterator[Any]) -> Any:
    return named(*[_nested(hint, remaining) if hasattr(hint, "_fields") else next(remaining) for hint in _hints(named)])


def join_scenes(scenes: Sequence[SceneArrays]) -> tuple[BatchArrays, Layout, NDArray[np.uint8]]:
    """Arrays, layout and memory of a batch.

    Raises:
        DataError: no scenes, or arrays that cannot be joined.
    """
    layout, start = layout_of(scenes)
    memory = np.empty(layout.size, dtype=np.uint8)
    fill(scenes, layout, start, memory)
    return arrays_in_memory(layout, memory), layout, memory


def arrays_in_memory(layout: Layout, memory: NDArray[np.uint8]) -> BatchArrays:
    """The named tuples of a batch whose memory is on the host."""
    return arrays_in(layout, lambda field: _view(memory, field))

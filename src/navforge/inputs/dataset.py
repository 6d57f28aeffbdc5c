"""Scenes as training examples: inputs, targets and the teacher's row, from raw logs or from an input store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, get_worker_info

from navforge.core.errors import ConfigError
from navforge.core.parallel import available_cpus, progress
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.read import read_arrays
from navforge.inputs.references import References
from navforge.inputs.store import InputStore
from navforge.inputs.stored import Arrays, from_stored
from navforge.models.planner_config import PlannerConfig
from navforge.teacher.store import SCORE, TeacherStore

Example = dict[str, Any]
"""`token`, `inputs` (name -> array), `human_poses` (8, 3), `teacher` (column -> (N,)), and as the planner learns them
`agents` (30, 5) with `agent_labels` (30,) and `bev_semantics` (128, 256) uint8."""

MEMORY_SHARE = 0.5
"""Share of the free memory that decoded inputs may take."""


@dataclass(frozen=True)
class Batch:
    """What a data set gives that reads many scenes at once: keys as `collate` gives them."""

    tensors: dict[str, Any]


class Source(Protocol):
    """Where arrays of examples come from."""

    def __getitem__(self, index: int, /) -> Arrays:
        """Arrays of the scene in this place of the split; raises `CorruptSample`."""
        ...


class ExampleSet(Protocol):
    """A data set of examples, read by loader workers."""

    @property
    def in_memory(self) -> bool:
        """Whether inputs are held, so that there is nothing for loader workers to do."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example:
        """One example; raises `CorruptSample`."""
        ...

    def __getitems__(self, indices: Sequence[int], /) -> Any:
        """What its collate function makes a batch of."""
        ...


class SceneDataset(Dataset[Example]):
    """Examples of a split, in the split's order. Light to hand to loader workers, by fork and by pickling."""

    def __init__(
        self,
        split: Split,
        planner: PlannerConfig,
        data: DataConfig,
        *,
        teacher: TeacherStore | None = None,
        keep_inputs: bool = True,
        store: InputStore | None = None,
    ) -> None:
        """Read what is kept.

        Args:
            split: the scenes.
            planner: says what is read.
            data: where logs, sensor files and maps are; with a store none of them is opened.
            teacher: rows for planners that distil.
            keep_inputs: decode all scenes now and hold them in memory; not needed with a store.
            store: where to read from instead of the logs.

        Raises:
            DataError: a log or, with `keep_inputs`, a sensor file is missing or damaged; a scene has no 4 s of future;
                the store does not fit the planner or the split.
            ConfigError: the kept inputs would take more than half of the free memory.
        """
        self.tokens = split.tokens
        self.teacher = teacher
        self.columns = (*planner.head.teacher_columns, SCORE) if teacher is not None else ()
        self.spec = InputSpec.of(planner)
        self.source: Source
        if store is not None:
            store.require(planner=planner, tokens=split.tokens)
            self.source = _FromStore(store, split, self.spec)
        else:
            self.source = _FromLogs(split, self.spec, data)
            if keep_inputs:
                self.source = Kept(self.source, len(split))

    @property
    def in_memory(self) -> bool:
        """Whether inputs are held, so that there is nothing for loader workers to do."""
        return isinstance(self.source, Kept)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Example:
        """One example.

        Raises:
            CorruptSample: its sensor files, or what the store holds of it, are missing or damaged.
        """
        token = self.tokens[index]
        arrays = self.source[index]
        inputs = {name: arrays[name] for name in self.spec.inputs}
        targets = {name: array for name, array in arrays.items() if name not in inputs}
        row = self.teacher.row(token, self.columns) if self.teacher is not None else {}
        return {"token": token, "inputs": inputs, "teacher": row, **targets}

    def __getitems__(self, indices: Sequence[int]) -> Examples:
        """Examples of a batch, each read when `collate` comes to it."""
        return Examples(self, indices)


class Examples:
    """Some examples of a data set, read one by one.

    A corrupt one is given as its error, so that the training process learns which it was.
    """

    def __init__(self, dataset: ExampleSet, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Example | CorruptSample]:
        for index in self.indices:
            try:
                yield self.dataset[index]
            except CorruptSample as error:
                yield error


def collate(examples: Collection[Example | CorruptSample] | Batch) -> dict[str, Any]:
    """A batch of tensors, filled example by example, so that no more than one is held beside it.

    What is a batch already, of a data set that gives whole ones, is given back as it is.

    Returns:
        The examples' keys, stacked, and `corrupt`: the errors of samples that could not be read, each of which is
        replaced by a whole neighbour so that the batch keeps its size. If all are corrupt there is no other key.
    """
    if isinstance(examples, Batch):
        return examples.tensors
    corrupt: list[CorruptSample] = []
    tokens: list[str] = []
    batch: dict[str, Any] = {}
    for example in examples:
        if isinstance(example, CorruptSample):
            corrupt.append(example)
            continue
        if not tokens:
            batch = _room(example, len(examples))
        _put(batch, example, len(tokens))
        tokens.append(example["token"])
    if not tokens:
        return {"corrupt": corrupt}
    whole = len(tokens)
    for place in range(whole, len(examples)):
        _repeat(batch, place % whole, place)
        tokens.append(tokens[place % whole])
    return {**batch, "token": tokens, "corrupt": corrupt}


def _room(example: Example, size: int) -> dict[str, Any]:
    """Tensors for a batch of examples like this one; in a loader's worker in the memory the batch is handed over in."""
    room: dict[str, Any] = {}
    for name, value in example.items():
        if isinstance(value, dict):
            room[name] = _room(value, size)
        elif isinstance(value, np.ndarray):
            one = torch.from_numpy(value)
            if get_worker_info() is None:
                room[name] = one.new_empty((size, *one.shape))
            else:
                shared = torch.UntypedStorage._new_shared(size * one.nbytes)  # as torch's own default_collate
                room[name] = one.new_empty(0).set_(shared, 0, (size, *one.shape))  # type: ignore[call-overload]
    return room


def _put(batch: dict[str, Any], example: Example, place: int) -> None:
    for name, value in batch.items():
        if isinstance(value, dict):
            _put(value, example[name], place)
        else:
            value[place] = torch.from_numpy(example[name])


def _repeat(batch: dict[str, Any], source: int, place: int) -> None:
    for value in batch.values():
        if isinstance(value, dict):
            _repeat(value, source, place)
        else:
            value[place] = value[source]


def scenes_of(split: Split, data: DataConfig) -> Iterator[Scene]:
    """All scenes of a split, log by log; a log's frames are let go after its last scene."""
    for log_name in split.logs:
        yield from read_scenes(split, data, log_name)


class _FromLogs:
    """Reads sensor files each time."""

    def __init__(self, split: Split, spec: InputSpec, data: DataConfig) -> None:
        self.references = References.gather(scenes_of(split, data), spec, data)
        self.spec = spec
        self.data = data
        assert tuple(token.decode() for token in self.references.tokens) == split.tokens, "scenes come in split order"

    def __getitem__(self, index: int) -> Arrays:
        return read_arrays(self.references[index], self.spec, self.data)


class _FromStore:
    """Reads a store each time."""

    def __init__(self, store: InputStore, split: Split, spec: InputSpec) -> None:
        self.store = store
        self.rows = store.rows(split.tokens)
        self.spec = spec

    def __getitem__(self, index: int) -> Arrays:
        _, stored = self.store.read(int(self.rows[index]), self.spec.parts)
        return from_stored(stored, self.spec)


class Kept:
    """Holds everything another source gives."""

    def __init__(self, source: Source, count: int) -> None:
        first = source[0]
        needed, free = count * sum(array.nbytes for array in first.values()), psutil.virtual_memory().available
        if needed > MEMORY_SHARE * free:
            raise ConfigError(
                f"train.keep_inputs: the inputs of {count} examples take {needed / 2**30:.1f} GiB and "
                f"{free / 2**30:.1f} GiB of memory are free; set train.keep_inputs=false and train.loader_workers to "
                "the number of CPUs, or train from an input store (navforge pack)"
            )
        self.kept: dict[str, NDArray[Any]] = {
            name: np.empty((count, *array.shape), array.dtype) for name, array in first.items()
        }
        # Threads do: decoding and scaling release the interpreter lock.
        with ThreadPoolExecutor(available_cpus()) as pool, progress("reading inputs", count) as bar:
            for index, arrays in enumerate(pool.map(source.__getitem__, range(count))):
                for name, array in arrays.items():
                    self.kept[name][index] = array
                bar.advance(bar.task_ids[0])

    def __getitem__(self, index: int) -> Arrays:
        return {name: array[index] for name, array in self.kept.items()}

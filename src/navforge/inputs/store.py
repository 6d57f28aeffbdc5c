"""The input store: what planners read of a split's scenes, in one shard per log, with an index and a manifest.

OUT/inputs.json          what the store holds; written last, so its presence means the store is complete
OUT/index.arrow          token, shard and row of every scene, in the split's order
OUT/shards/LOG.arrow     stored scenes of one log (`shards`)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from navforge.core.errors import DataError
from navforge.core.files import atomic_path, file_fingerprint, fingerprint
from navforge.core.outside.files import check, shown
from navforge.core.outside.records import record
from navforge.core.outside.sealed import unsealed, write_sealed
from navforge.core.outside.text import read_json
from navforge.core.token_index import TokenIndex
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.shards import NO_THREADS, TOKEN, Shard
from navforge.models.planner_config import PlannerConfig

FORMAT = 1
"""Number of the file layout."""
MANIFEST = "inputs.json"
INDEX = "index.arrow"
SHARD_FOLDER = "shards"

_OPEN_SHARDS = 16


@dataclass(frozen=True, kw_only=True)
class Part:
    """How one part of a store was made."""

    config: dict[str, Any]
    code: str

    @staticmethod
    def of(spec: InputSpec) -> dict[str, Part]:
        """The parts of what a planner wants."""
        return {name: Part(config=spec.configs[name], code=spec.codes[name]) for name in spec.parts}


@dataclass(frozen=True)
class _Manifest:
    format: int
    split: dict[str, Any]
    parts: dict[str, Part]
    index: str
    shards: dict[str, int]
    """Bytes of each shard, by log."""
    fingerprint: str


def shard_path(folder: Path, log_name: str) -> Path:
    """Where the shard of a log lies."""
    return folder / SHARD_FOLDER / f"{log_name}.arrow"


def write_store(folder: Path, split: dict[str, Any], parts: dict[str, Part], logs: dict[str, tuple[str, ...]]) -> None:
    """Declare a store complete: index, then manifest.

    Args:
        folder: of the store; every log's shard is there.
        split: plain values that name the split.
        parts: by name, in stored order.
        logs: tokens of each log's shard, by log, in the split's order.
    """
    index = pa.record_batch(
        {
            TOKEN: pa.array([token for tokens in logs.values() for token in tokens], pa.string()),
            "shard": pa.array(np.repeat(np.arange(len(logs)), [len(t) for t in logs.values()]).astype(np.int32)),
            "row": pa.array(np.concatenate([np.arange(len(t)) for t in logs.values()]).astype(np.int32)),
        }
    )
    with atomic_path(folder / INDEX) as path, pa.ipc.new_file(str(path), index.schema) as file:
        file.write_batch(index)
    plain = {name: {"config": part.config, "code": part.code} for name, part in parts.items()}
    write_sealed(
        folder / MANIFEST,
        {
            "format": FORMAT,
            "split": split,
            "parts": plain,
            "index": file_fingerprint(folder / INDEX),
            "shards": {log: shard_path(folder, log).stat().st_size for log in logs},
            "fingerprint": fingerprint(FORMAT, plain, {log: list(tokens) for log, tokens in logs.items()}),
        },
    )


class InputStore:
    """An opened store. Pickling it keeps the path only, so that handing it to loader workers costs nothing."""

    def __init__(self, path: Path, manifest: _Manifest, index: pa.RecordBatch) -> None:
        """Use `open`."""
        self.path = path
        self.split = manifest.split
        """The split the store was made of: `name`, `hash`, number of scenes and of `missing` ones."""
        self.parts = manifest.parts
        """How each part was made, by name."""
        self.fingerprint = manifest.fingerprint
        """Fingerprint of code, configuration and scenes."""
        self._sizes = manifest.shards
        self._logs = tuple(self._sizes)
        self._index = index
        self._shard_of = index.column("shard").to_numpy()
        self._row_of = index.column("row").to_numpy()
        self._opened: OrderedDict[int, Shard] = OrderedDict()

    @classmethod
    def open(cls, path: Path | str) -> InputStore:
        """Open a complete store.

        Raises:
            DataError: there is none, it is not complete, or its manifest or index is damaged.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            what = "is not complete" if (path / SHARD_FOLDER).is_dir() else "does not exist"
            raise DataError(f"the input store {path} {what} (no {MANIFEST}); run navforge pack with the same out")
        remedy = f"delete {path / MANIFEST} and run navforge pack again, which keeps whole shards"
        content = read_json(path / MANIFEST, "input store manifest", remedy=remedy)
        if (form := content.get("format")) != FORMAT:
            raise DataError(f"the input store {path} has format {shown(form)}, this code reads {FORMAT}; pack it again")
        try:
            manifest = record(_Manifest, unsealed(content))
            check(path / INDEX, "index of input store")
            if file_fingerprint(path / INDEX) != manifest.index:
                raise ValueError(f"{INDEX} is not the one {MANIFEST} was written with")
            index = pa.ipc.open_file(pa.memory_map(str(path / INDEX)), options=NO_THREADS).get_batch(0)
            return cls(path, manifest, index)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise DataError(f"the input store {path} is damaged ({error}); {remedy}") from error

    def __reduce__(self) -> tuple[Any, tuple[Path, str]]:
        return _reopen, (self.path, self.fingerprint)

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def tokens(self) -> tuple[str, ...]:
        """All scenes, in the order of the rows."""
        return tuple(self._index.column(TOKEN).to_pylist())

    def require(self, *, planner: PlannerConfig, tokens: Sequence[str]) -> None:
        """Check that a planner can learn these scenes from the store.

        Raises:
            DataError: a part is missing or was made with another configuration or other code, or scenes are missing.
        """
        parts = Part.of(InputSpec.of(planner))
        remedy = f"run navforge pack agent={planner.name} with another out (the old store can then be deleted)"
        for name, part in parts.items():
            if name not in self.parts:
                raise DataError(f"the input store {self.path} holds no {name}, which {planner.name} reads; {remedy}")
            held = self.parts[name]
            differing = [
                f"{name}.{key} ({held.config.get(key)!r} in the store, {part.config.get(key)!r} asked for)"
                for key in {**held.config, **part.config}
                if held.config.get(key) != part.config.get(key)
            ]
            if differing:
                raise DataError(
                    f"the input store {self.path} was made for another planner: {', '.join(differing)}; {remedy}"
                )
            if held.code != part.code:
                raise DataError(
                    f"the input store {self.path} is stale: the code or a library that makes {name} has changed "
                    "since; run the same navforge pack again"
                )
        self.rows(tokens)

    def rows(self, tokens: Sequence[str]) -> NDArray[np.int32]:
        """(T,) row of each scene.

        Raises:
            DataError: the store lacks some; counts and names them.
        """
        rows = self._index_of_tokens.require(
            tokens,
            where=f"the input store {self.path} (split {self.split['name']}, {len(self)} scenes)",
            remedy="run navforge pack on the split you train on",
        )
        return rows.astype(np.int32)

    def read(self, row: int, parts: Sequence[str]) -> tuple[str, dict[str, memoryview]]:
        """Token and stored parts of a scene, not copied.

        Raises:
            CorruptSample: the shard is missing, truncated, of another run, or a byte has changed.
        """
        shard_number = int(self._shard_of[row])
        token = self._index.column(TOKEN)[row].as_py()
        try:
            found, stored = self._shard(shard_number).read(int(self._row_of[row]), parts)
            if found != token:
                raise DataError(f"the shard holds scene {found} in its place; pack it again")
        except DataError as error:
            raise CorruptSample(token, shard_path(self.path, self._logs[shard_number]), str(error)) from error
        return token, stored

    def check(self) -> None:
        """Read every byte of every shard; raises `DataError` naming the first that has changed."""
        for number, _ in enumerate(self._logs):
            for _ in self._shard(number).tokens():
                pass

    @cached_property
    def _index_of_tokens(self) -> TokenIndex:
        return TokenIndex(np.array([token.encode() for token in self.tokens], np.bytes_))

    def _shard(self, number: int) -> Shard:
        if number in self._opened:
            self._opened.move_to_end(number)
            return self._opened[number]
        log = self._logs[number]
        path = shard_path(self.path, log)
        size = path.stat().st_size if path.exists() else 0
        if size != self._sizes[log]:
            raise DataError(
                f"shard {path} is damaged: {size} bytes, written were {self._sizes[log]}; delete it and "
                f"{self.path / MANIFEST} and run the same navforge pack again"
            )
        self._opened[number] = Shard(path)
        while len(self._opened) > _OPEN_SHARDS:
            self._opened.popitem(last=False)
        return self._opened[number]


def _reopen(path: Path, made: str) -> InputStore:
    store = InputStore.open(path)
    if store.fingerprint != made:
        raise DataError(f"the input store {path} was packed again while it was in use; restart")
    return store

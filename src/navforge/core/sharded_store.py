"""Stores of a split's scenes in one shard per log: which scenes, which shards, and when the whole is complete.

OUT/MANIFEST           what the store holds; written last, so its presence means that the store is complete
OUT/tokens.txt         scenes, in the order of the rows
OUT/shards/LOG.SUFFIX  rows of one log's scenes; its form is that of the kind of store
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from navforge.core.config import differences
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import file_fingerprint, fingerprint, fingerprint_of, write_text
from navforge.core.host import allow_open_files
from navforge.core.outside.files import read_bytes, shown
from navforge.core.outside.records import record
from navforge.core.outside.sealed import unsealed, write_sealed
from navforge.core.outside.text import read_json
from navforge.core.products import Product, require_none_lost
from navforge.core.token_index import TokenIndex

TOKENS = "tokens.txt"
SHARD_FOLDER = "shards"


class Shard(Protocol):
    """An opened shard."""

    def __init__(self, path: Path) -> None:
        """Open it; raises DataError where it is missing, truncated or no shard."""
        ...

    def __len__(self) -> int:
        """Number of its scenes."""
        ...

    @property
    def head(self) -> str:
        """Fingerprint of what tells it from other shards of as many scenes and bytes."""
        ...

    @property
    def tokens(self) -> tuple[str, ...]:
        """Its scenes, in the order of the rows; raises DataError if it is damaged."""
        ...

    def check(self) -> None:
        """Read every byte; raises DataError naming the first scene whose row has changed."""
        ...


class Origin(Protocol):
    """What the rows of a store are made from."""

    @property
    def plain(self) -> dict[str, Any]:
        """Plain values."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Those of the plain values that were asked for: not the code that made the rows."""
        ...


ShardT = TypeVar("ShardT", bound=Shard)
OriginT = TypeVar("OriginT", bound=Origin)


@dataclass(frozen=True)
class ShardFacts:
    """What the manifest says of a shard."""

    scenes: int
    bytes: int
    head: str
    """`Shard.head`."""


@dataclass(frozen=True)
class Manifest:
    """What the manifest says of a store."""

    format: int
    split: dict[str, Any]
    origin: dict[str, Any]
    shards: dict[str, ShardFacts]
    """By log, in the order of the rows."""
    tokens: str
    fingerprint: str


class ShardedStore(Generic[OriginT, ShardT]):
    """An opened store. Pickling it keeps the path only, so that handing it to loader workers costs nothing."""

    origin_type: type[OriginT]
    shard_type: type[ShardT]
    product: ClassVar[Product]
    noun: ClassVar[str]
    """What it is called."""
    verb: ClassVar[str]
    """The verb that writes it."""
    suffix: ClassVar[str]
    """Of its shards."""
    format: ClassVar[int]
    """Number of the file layout."""
    most_open: ClassVar[int | None] = None
    """Shards that stay open; None: all."""

    def __init__(self, path: Path, manifest: Manifest, tokens: NDArray[np.bytes_]) -> None:
        """Use `open`."""
        self.path = path
        self.split = manifest.split
        """The split the store was made of: `name`, `hash`, number of scenes and of `missing` ones."""
        self.origin: OriginT = record(self.origin_type, manifest.origin)
        self.fingerprint = manifest.fingerprint
        """Fingerprint of origin, scenes and shards."""
        self.logs = tuple(manifest.shards)
        """Of the shards, in the order of the rows."""
        self._facts = manifest.shards
        self._tokens = tokens
        counts = [facts.scenes for facts in manifest.shards.values()]
        self._shard_of = np.repeat(np.arange(len(counts)), counts)
        self._row_of = np.concatenate([np.arange(count) for count in counts])
        self._opened: dict[int, ShardT] = {}
        """By number, the one that was used last at the end."""

    @classmethod
    def shard_path(cls, folder: Path, log_name: str) -> Path:
        """Where the shard of a log lies."""
        return folder / SHARD_FOLDER / f"{log_name}.{cls.suffix}"

    @classmethod
    def facts(cls, folder: Path, log_name: str) -> ShardFacts:
        """What the manifest will say of a shard that has been written."""
        path = cls.shard_path(folder, log_name)
        shard = cls.shard_type(path)
        return ShardFacts(len(shard), path.stat().st_size, shard.head)

    @classmethod
    def publish(
        cls,
        folder: Path,
        split: Mapping[str, Any],
        origin: Origin,
        logs: Mapping[str, tuple[str, ...]],
        shards: Mapping[str, ShardFacts],
    ) -> None:
        """Declare a store complete: tokens, then manifest.

        Args:
            folder: of the store; every log's shard is there.
            split: plain values that name the split.
            origin: of all shards.
            logs: tokens of each log's shard, by log, in the split's order.
            shards: by log.
        """
        write_text(folder / TOKENS, "".join(f"{token}\n" for tokens in logs.values() for token in tokens))
        facts = {log: asdict(shards[log]) for log in logs}
        write_sealed(
            folder / cls.product.manifest,
            {
                "format": cls.format,
                "split": split,
                "origin": origin.plain,
                "shards": facts,
                "tokens": file_fingerprint(folder / TOKENS),
                "fingerprint": fingerprint(cls.format, origin.plain, [list(tokens) for tokens in logs.values()], facts),
            },
        )

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a complete store.

        Raises:
            DataError: there is none, it is not complete, or its manifest or list of scenes is damaged.
        """
        path = Path(path)
        manifest_path = path / cls.product.manifest
        if not manifest_path.is_file():
            what = "is not complete" if (path / SHARD_FOLDER).is_dir() else "does not exist"
            raise DataError(
                f"the {cls.noun} {path} {what} (no {manifest_path.name}); run navforge {cls.verb} with the same out"
            )
        remedy = f"delete {manifest_path} and run navforge {cls.verb} again, which keeps whole shards"
        content = read_json(manifest_path, f"{cls.noun} manifest", remedy=remedy)
        if (form := content.get("format")) != cls.format:
            raise DataError(f"the {cls.noun} {path} has format {shown(form)}, this code reads {cls.format}; {remedy}")
        try:
            manifest = record(Manifest, unsealed(content))
            names = read_bytes(path / TOKENS, f"list of scenes of the {cls.noun}", missing=remedy)
            if fingerprint_of(names) != manifest.tokens:
                raise ValueError(f"{TOKENS} is not the one {manifest_path.name} was written with")
            tokens = np.array(names.split(), np.bytes_)
            if len(tokens) != sum(facts.scenes for facts in manifest.shards.values()) or not len(tokens):
                raise ValueError("its shards have another number of scenes")
            store = cls(path, manifest, tokens)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"the {cls.noun} {path} is damaged ({error}); {remedy}") from error
        allow_open_files(len(store.logs) if cls.most_open is None else cls.most_open)
        return store

    @classmethod
    def check_folder(cls, out: Path, origin: Origin, logs: Mapping[str, Collection[str]], split: str) -> None:
        """Refuse to write over a complete store that was made otherwise, or one that would lose scenes.

        Args:
            out: folder that may hold a store, complete or not.
            origin: of the store to write.
            logs: its scenes, by log.
            split: name of their split.

        Raises:
            ConfigError: settings differ, or scenes would be lost.
            DataError: a complete store is damaged.
        """
        holds, tokens = "an unfinished store", list[str]()
        if (out / cls.product.manifest).is_file():
            held = cls.open(out)
            tokens += held.tokens
            holds = f"a complete store of {held.split['name']}"
            if changed := differences(held.origin.settings, origin.settings, ""):
                raise ConfigError(
                    f"out: {out} holds a complete store that differs in {', '.join(changed)}; give another out or "
                    "delete it"
                )
        for path in () if tokens else sorted((out / SHARD_FOLDER).glob(f"*.{cls.suffix}")):
            with suppress(DataError):  # damaged: nothing to lose
                tokens += cls.shard_type(path).tokens
        asked = {token for part in logs.values() for token in part}
        require_none_lost(out, holds, tokens, asked, split, f"{cls.verb} both at once with split= val_split=")

    def __reduce__(self) -> tuple[Any, tuple[type[Self], Path, str]]:
        return _reopen, (type(self), self.path, self.fingerprint)

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> tuple[str, ...]:
        """All scenes, in the order of the rows."""
        return tuple(token.decode() for token in self._tokens.tolist())

    def rows(self, tokens: Sequence[str]) -> NDArray[np.intp]:
        """(T,) row of each scene.

        Raises:
            DataError: the store lacks some; counts and names them.
        """
        return self._index.require(
            tokens,
            where=f"the {self.noun} {self.path} (split {self.split['name']}, {len(self)} scenes)",
            remedy=f"run navforge {self.verb} on that split, with split= and val_split= for two in one store",
        )

    def check(self) -> None:
        """Read every byte of every shard; raises `DataError` naming the first that has changed."""
        for number in range(len(self.logs)):
            self._shard(number).check()

    @cached_property
    def _index(self) -> TokenIndex:
        return TokenIndex(self._tokens)

    def _scene(self, row: int) -> tuple[str, int, int]:
        """Token of a row, number of its shard, and row in it."""
        return self._tokens[row].item().decode(), int(self._shard_of[row]), int(self._row_of[row])

    def _path(self, number: int) -> Path:
        """Of a shard."""
        return self.shard_path(self.path, self.logs[number])

    def _shard(self, number: int) -> ShardT:
        shard = self._opened.pop(number, None)
        if shard is None:
            shard = self._open_shard(number)
        self._opened[number] = shard
        if self.most_open is not None and len(self._opened) > self.most_open:
            del self._opened[next(iter(self._opened))]
        return shard

    def _open_shard(self, number: int) -> ShardT:
        path, facts = self._path(number), self._facts[self.logs[number]]
        size = path.stat().st_size if path.exists() else 0
        what = f"is damaged: {size} bytes, written were {facts.bytes}"
        if size == facts.bytes:
            shard = self.shard_type(path)
            if (len(shard), shard.head) == (facts.scenes, facts.head):
                return shard
            what = f"is not the one that {self.product.manifest} names"
        raise DataError(
            f"shard {path} {what}; delete it and {self.path / self.product.manifest} and run the same navforge "
            f"{self.verb} again"
        )


def _reopen(kind: type[ShardedStore[Any, Any]], path: Path, written: str) -> ShardedStore[Any, Any]:
    store = kind.open(path)
    if store.fingerprint != written:
        raise DataError(f"the {kind.noun} {path} was written anew while it was in use; start again")
    return store

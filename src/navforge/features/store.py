"""The feature store: a frozen trunk's tokens, ego status and targets of a split's scenes, in one shard per log.

OUT/features.json            what the store holds; written last, so its presence means that the store is complete
OUT/tokens.txt               scenes, in the order of the rows
OUT/shards/LOG.safetensors   tensors of one log's scenes (`shards`): features (S, L, D), status, human_poses, ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from navforge.core.code import describe_changes
from navforge.core.config import differences
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import file_fingerprint, fingerprint, fingerprint_of, write_text
from navforge.core.host import allow_open_files
from navforge.core.outside.files import read_bytes, shown
from navforge.core.outside.records import record
from navforge.core.outside.sealed import unsealed, write_sealed
from navforge.core.outside.text import read_json
from navforge.core.token_index import TokenIndex
from navforge.features.shards import Shard
from navforge.features.trunk import encoder_key, input_key, key_of, modules_of, require_frozen
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.store import Part
from navforge.models.contract import FEATURES, Inputs
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig

FORMAT = 1
"""Number of the file layout."""
MANIFEST = "features.json"
TOKENS = "tokens.txt"
SHARD_FOLDER = "shards"

_MAPPED = 128 << 20
"""Bytes of mapped rows after which they are let go."""
_AROUND = 1 << 16
"""Bytes that the kernel maps around one that is read."""


@dataclass(frozen=True)
class ShardFacts:
    """What the manifest says of a shard."""

    scenes: int
    bytes: int
    head: str
    """`Shard.head`."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What the rows of a store are made from."""

    key: dict[str, Any]
    """What decides the tokens (`trunk.key_of`)."""
    modules: dict[str, str]
    """And their code (`trunk.modules_of`)."""
    parts: dict[str, Part]
    """How ego status and targets are made."""
    dtype: str
    batch_size: int
    device: str

    @property
    def plain(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Manifest:
    format: int
    split: dict[str, Any]
    origin: Origin
    shards: dict[str, ShardFacts]
    """By log, in the order of the rows."""
    tokens: str
    fingerprint: str


def shard_path(folder: Path, log_name: str) -> Path:
    """Where the shard of a log lies."""
    return folder / SHARD_FOLDER / f"{log_name}.safetensors"


def write_store(
    folder: Path,
    split: dict[str, Any],
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
        folder / MANIFEST,
        {
            "format": FORMAT,
            "split": split,
            "origin": origin.plain,
            "shards": facts,
            "tokens": file_fingerprint(folder / TOKENS),
            "fingerprint": fingerprint(FORMAT, origin.plain, [list(tokens) for tokens in logs.values()], facts),
        },
    )


class FeatureStore:
    """An opened store. Pickling it keeps the path only."""

    def __init__(self, path: Path, manifest: _Manifest, tokens: NDArray[np.bytes_]) -> None:
        """Use `open`."""
        self.path = path
        self.split = manifest.split
        """The split the store was made of: `name`, `hash`, number of scenes and of `missing` ones."""
        self.origin = manifest.origin
        self.fingerprint = manifest.fingerprint
        """Fingerprint of key, code, scenes and values."""
        self._facts = manifest.shards
        self.logs = tuple(manifest.shards)
        """Of the shards, in the order of the rows."""
        self._tokens = tokens
        counts = [facts.scenes for facts in manifest.shards.values()]
        self._shard_of = np.repeat(np.arange(len(counts)), counts)
        self._row_of = np.concatenate([np.arange(count) for count in counts])
        self._shards: dict[int, Shard] = {}
        self._mapped: dict[str, dict[int, NDArray[np.uint8]]] = {}
        """Rows of tensors, by tensor and shard."""
        self._checked: dict[str, NDArray[np.bool_]] = {}
        self._read = 0
        """Bytes mapped since the maps were let go."""

    @classmethod
    def open(cls, path: Path | str) -> FeatureStore:
        """Open a complete store.

        Raises:
            DataError: there is none, it is not complete, or its manifest or list of scenes is damaged.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            what = "is not complete" if (path / SHARD_FOLDER).is_dir() else "does not exist"
            raise DataError(f"the feature store {path} {what} (no {MANIFEST}); run navforge encode with the same out")
        remedy = f"delete {path / MANIFEST} and run navforge encode again, which keeps whole shards"
        content = read_json(path / MANIFEST, "feature store manifest", remedy=remedy)
        if (form := content.get("format")) != FORMAT:
            raise DataError(
                f"the feature store {path} has format {shown(form)}, this code reads {FORMAT}; encode it again"
            )
        try:
            manifest = record(_Manifest, unsealed(content))
            names = read_bytes(path / TOKENS, "list of scenes of a feature store", missing=remedy)
            if fingerprint_of(names) != manifest.tokens:
                raise ValueError(f"{TOKENS} is not the one {MANIFEST} was written with")
            tokens = np.array(names.split(), np.bytes_)
            if len(tokens) != sum(facts.scenes for facts in manifest.shards.values()) or not len(tokens):
                raise ValueError("its shards have another number of scenes")
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"the feature store {path} is damaged ({error}); {remedy}") from error
        allow_open_files(len(manifest.shards))
        return cls(path, manifest, tokens)

    def __reduce__(self) -> tuple[Any, tuple[Path, str]]:
        return _reopen, (self.path, self.fingerprint)

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def tokens(self) -> tuple[str, ...]:
        """All scenes, in the order of the rows."""
        return tuple(token.decode() for token in self._tokens.tolist())

    def require(self, config: PlannerConfig, tokens: Sequence[str]) -> None:
        """Check, as far as a config tells, that a planner can take these scenes from the store in place of images.

        Raises:
            ConfigError: its encoder learns.
            DataError: the encoder or its inputs have another config, a target is missing or made otherwise, or scenes
                are missing; both values are shown.
        """
        spec = InputSpec.of(config)
        if not config.encoder.is_frozen:
            raise ConfigError(
                f"features: {self.path} holds tokens of the frozen encoder {self.origin.key['encoder']}; the encoder "
                f"of {config.name} learns: {encoder_key(config.encoder)}; freeze it, or leave features= out"
            )
        asked = {"encoder": encoder_key(config.encoder), "inputs": input_key(spec)}
        self._require_same({name: self.origin.key[name] for name in asked}, asked, config)
        for name, part in Part.of(spec.without_sensors).items():
            held = self.origin.parts.get(name)
            if held is None:
                raise DataError(
                    f"the feature store {self.path} holds no {name}, which {config.name} reads or learns; "
                    f"{self._remedy(config)}"
                )
            if held.config != part.config:
                raise DataError(
                    f"the feature store {self.path} holds {name} of {held.config}, {config.name} asks for "
                    f"{part.config}; {self._remedy(config)}"
                )
            if held.code != part.code:
                raise DataError(
                    f"the feature store {self.path} is stale: the code or a library that makes {name} has changed "
                    "since; run the same navforge encode again"
                )
        self.rows(tokens)

    def require_trunk(self, planner: Planner) -> None:
        """Check that a planner's own trunk, its weights and its code, would give the tokens of the store.

        Raises:
            ConfigError: it has no frozen trunk.
            DataError: other weights (both fingerprints are shown), or code that has changed (modules are named).
        """
        config = planner.config
        trunk = require_frozen(config.encoder, planner.encoder)
        spec = InputSpec.of(config)
        self._require_same(self.origin.key, key_of(config.encoder, trunk, spec), config)
        modules = modules_of(type(trunk), spec)
        if modules != self.origin.modules:
            raise DataError(
                f"the feature store {self.path} is stale: {describe_changes(self.origin.modules, modules)}; run the "
                "same navforge encode again"
            )

    @property
    def token_shape(self) -> tuple[int, ...]:
        """(L, D) of a scene's tokens."""
        return self._shard(0).columns[FEATURES].shape

    def row_bytes(self, name: str) -> int:
        """Bytes of a scene in a tensor."""
        return self._shard(0).columns[name].bytes

    def rows(self, tokens: Sequence[str]) -> NDArray[np.intp]:
        """(T,) row of each scene.

        Raises:
            DataError: the store lacks some; counts and names them.
        """
        return self._index.require(
            tokens,
            where=f"the feature store {self.path} (split {self.split['name']}, {len(self)} scenes)",
            remedy="run navforge encode on that split, with split= and val_split= for two in one store",
        )

    def inputs(self, tokens: Sequence[str], config: PlannerConfig) -> Inputs:
        """Inputs of a planner (see `models.contract`) for scenes by token.

        Raises:
            DataError: a scene is not in the store, or its row has changed (`CorruptSample`).
        """
        rows = self.rows(tokens)
        names = input_names(config)
        self.require_whole(rows, names)
        return {name: self.gather(name, rows) for name in names}

    def gather(self, name: str, rows: NDArray[np.intp]) -> Tensor:
        """(R, ...) rows of a tensor, copied from the memory map; raises DataError where a shard cannot be opened."""
        shards = self._shard_of[rows].tolist()
        sources = self._mapped.setdefault(name, {})
        for shard in set(shards).difference(sources):
            sources[shard] = self._shard(shard).rows[name]
        column = self._shard(shards[0]).columns[name]
        batch = torch.empty((len(rows), *column.shape), dtype=column.dtype)
        target = batch.view(len(rows), -1).view(torch.uint8).numpy()
        for place, (shard, row) in enumerate(zip(shards, self._row_of[rows].tolist(), strict=True)):
            target[place] = sources[shard][row]
        self._let_go(len(rows) * (target.shape[1] + _AROUND))
        return batch

    def require_whole(self, rows: NDArray[np.intp], names: Sequence[str]) -> None:
        """Check rows against their checksums, each once in the life of this object.

        Raises:
            CorruptSample: the first that has changed, or whose shard is missing or damaged.
        """
        for name in names:
            if name not in self._checked:
                self._checked[name] = np.zeros(len(self), np.bool_)
            checked = self._checked[name]
            for place in rows[~checked[rows]].tolist():
                token, shard = self._tokens[place].item().decode(), int(self._shard_of[place])
                file = shard_path(self.path, self.logs[shard])
                try:
                    whole = self._shard(shard).is_whole(name, int(self._row_of[place]))
                except DataError as error:
                    raise CorruptSample(token, file, str(error)) from error
                if not whole:
                    raise CorruptSample(token, file, f"{name} of scene {token} has changed since it was written")
                checked[place] = True

    def check(self) -> None:
        """Read every byte of every shard; raises `DataError` naming the first that has changed."""
        for number, _ in enumerate(self.logs):
            self._shard(number).check()

    @cached_property
    def _index(self) -> TokenIndex:
        return TokenIndex(self._tokens)

    def _shard(self, number: int) -> Shard:
        if number not in self._shards:
            log = self.logs[number]
            shard, facts = Shard(shard_path(self.path, log)), self._facts[log]
            if (len(shard.tokens), shard.path.stat().st_size, shard.head) != (facts.scenes, facts.bytes, facts.head):
                raise DataError(
                    f"shard {shard.path} is not the one that {MANIFEST} names; delete it and {self.path / MANIFEST} "
                    "and run the same navforge encode again"
                )
            self._shards[number] = shard
        return self._shards[number]

    def _let_go(self, mapped: int) -> None:
        self._read += mapped
        if self._read > _MAPPED:
            self._read = 0
            for shard in self._shards.values():
                shard.let_go()

    def _require_same(self, held: Mapping[str, Any], asked: Mapping[str, Any], config: PlannerConfig) -> None:
        if differing := differences(held, asked, ""):
            raise DataError(
                f"the feature store {self.path} was made by another encoder than that of {config.name} (in the store "
                f"-> asked for): {', '.join(differing)}; {self._remedy(config)}"
            )

    @staticmethod
    def _remedy(config: PlannerConfig) -> str:
        return f"run navforge encode agent={config.name} with another out, or leave features= out"


def input_names(config: PlannerConfig) -> tuple[str, ...]:
    """What a planner reads of a feature store to plan."""
    return (*InputSpec.of(config).without_sensors.inputs, FEATURES)


def _reopen(path: Path, made: str) -> FeatureStore:
    store = FeatureStore.open(path)
    if store.fingerprint != made:
        raise DataError(f"the feature store {path} was encoded anew while it was in use; start again")
    return store

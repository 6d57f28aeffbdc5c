"""The feature store: a frozen trunk's tokens, ego status and targets of a split's scenes (`core.sharded_store`).

Its shards (`features.shards`) hold tensors of one log's scenes: features (S, L, D), status, human_poses, ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from navforge.core.code import describe_changes
from navforge.core.config import differences
from navforge.core.errors import ConfigError, DataError
from navforge.core.products import FEATURES as PRODUCT
from navforge.core.sharded_store import Manifest, ShardedStore
from navforge.features.shards import Shard
from navforge.features.trunk import encoder_key, input_key, key_of, modules_of, require_frozen
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.parts import Part, require_parts, settings_of
from navforge.models.contract import FEATURES, Inputs
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig

_MAPPED = 128 << 20
"""Bytes of mapped rows after which they are let go."""
_AROUND = 1 << 16
"""Bytes that the kernel maps around one that is read."""


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

    @property
    def settings(self) -> dict[str, Any]:
        """All but the code."""
        return {**self.plain, "modules": None, "parts": settings_of(self.parts)}


class FeatureStore(ShardedStore[Origin, Shard]):
    """An opened store."""

    origin_type = Origin
    shard_type = Shard
    product = PRODUCT
    noun = "feature store"
    verb = "encode"
    suffix = "safetensors"
    format = 1

    def __init__(self, path: Path, manifest: Manifest, tokens: NDArray[np.bytes_]) -> None:
        """Use `open`."""
        super().__init__(path, manifest, tokens)
        self._mapped: dict[str, dict[int, NDArray[np.uint8]]] = {}
        """Rows of tensors, by tensor and shard."""
        self._checked: dict[str, NDArray[np.bool_]] = {}
        self._read = 0
        """Bytes mapped since the maps were let go."""

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
        require_parts(self, self.origin.parts, spec.without_sensors, config, self._remedy(config))
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
                token, number, row = self._scene(place)
                try:
                    whole = self._shard(number).is_whole(name, row)
                except DataError as error:
                    raise CorruptSample(token, self._path(number), str(error)) from error
                if not whole:
                    reason = f"{name} of scene {token} has changed since it was written"
                    raise CorruptSample(token, self._path(number), reason)
                checked[place] = True

    def _let_go(self, mapped: int) -> None:
        self._read += mapped
        if self._read > _MAPPED:
            self._read = 0
            for shard in self._opened.values():
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

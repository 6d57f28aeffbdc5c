"""Writing a feature store, one shard per log; see `core.build`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from navforge.core.build import Executor, Piece, Report, Result, build
from navforge.core.code import describe_changes
from navforge.core.config import differences
from navforge.core.device import pick_device
from navforge.core.errors import DataError
from navforge.core.failures import SceneFailures
from navforge.core.files import file_fingerprint, fingerprint
from navforge.core.parallel import available_cpus
from navforge.core.products import FEATURES as PRODUCT
from navforge.core.sharded_store import ShardFacts
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.features.shards import Shard, write_shard
from navforge.features.store import FeatureStore, Origin
from navforge.features.trunk import build_trunk, key_of, modules_of, tokens_of, weights_fingerprint
from navforge.inputs.dataset import Example, SceneDataset
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.pack import describe_splits, tokens_by_log
from navforge.inputs.parts import Part
from navforge.inputs.store import InputStore
from navforge.models.contract import FEATURES, EncoderConfig
from navforge.models.modules import TrunkEncoder
from navforge.models.planner_config import PlannerConfig


@dataclass(frozen=True, kw_only=True)
class EncodedLog(Piece[ShardFacts]):
    """The shard of one log."""

    product = PRODUCT
    splits: tuple[Split, ...]
    """Parts of the splits in this log."""
    planner: PlannerConfig
    seed: int
    origin: Origin
    data: DataConfig
    store: InputStore | None

    @property
    def path(self) -> Path:
        """The shard."""
        return FeatureStore.shard_path(self.out, self.name)

    @property
    def key(self) -> str:
        """Fingerprint of settings, code and scenes."""
        return fingerprint(self.origin.plain, [list(split.tokens) for split in self.splits])

    def code_here(self) -> str:
        """Fingerprint of the code of this process."""
        return fingerprint(modules_of(type(self._trunk()), InputSpec.of(self.planner)))

    def check(self) -> Result[ShardFacts]:
        """What the manifest says of the shard; DataError if it is damaged or was made from something else."""
        shard, made = Shard(self.path), self._made()
        if shard.tokens != self.tokens:
            raise DataError("the set of scenes changed")
        if shard.made["origin"]["modules"] != made["origin"]["modules"]:
            raise DataError(describe_changes(shard.made["origin"]["modules"], made["origin"]["modules"]))
        if changed := differences(shard.made, made, ""):
            raise DataError(f"it was made otherwise: {', '.join(changed)}")
        shard.check()
        return self._result()

    def make(self) -> Result[ShardFacts]:
        """Compute the scenes' tokens and write the shard."""
        trunk, failures = self._trunk(), SceneFailures(self.name)
        columns: dict[str, list[Tensor]] = {}
        with _threads(self.origin.device) as threads:
            for split in self.splits:
                dataset = SceneDataset(split, self.planner, self.data, keep_inputs=False, store=self.store)
                for examples in _read(dataset, self.origin.batch_size, failures, threads):
                    with failures.of(examples[0]["token"]):
                        for name, tensor in self._rows(trunk, examples, self.origin.batch_size).items():
                            columns.setdefault(name, []).append(tensor)
        failures.require_none()
        arrays = {name: torch.cat(parts) for name, parts in columns.items()}
        with self.writing() as path:
            write_shard(path, self._made(), self.tokens, arrays)
        return self._result()

    def first_row(self, trunk: TrunkEncoder) -> dict[str, Tensor]:
        """The row of the first scene, about; raises DataError or ConfigError where it cannot be had."""
        dataset = SceneDataset(self.splits[0], self.planner, self.data, keep_inputs=False, store=self.store)
        with _threads(self.origin.device):
            return self._rows(trunk, [dataset[0]], batch_size=1)

    def _rows(self, trunk: TrunkEncoder, examples: Sequence[Example], batch_size: int) -> dict[str, Tensor]:
        """(B, ...) rows of scenes."""
        inputs = {name: _stack([one["inputs"][name] for one in examples]) for name in examples[0]["inputs"]}
        targets = [name for name in examples[0] if name not in ("token", "inputs", "teacher")]
        tokens = tokens_of(trunk, inputs, batch_size, getattr(torch, self.origin.dtype))
        learned = {name: _stack([one[name] for one in examples]) for name in targets}
        read = {name: inputs[name] for name in InputSpec.of(self.planner).without_sensors.inputs}
        return {FEATURES: tokens, **read, **learned}

    def _trunk(self) -> TrunkEncoder:
        trunk, weights = _trunk_here(self.planner.encoder, self.seed, pick_device(self.origin.device))
        if weights != self.origin.key["weights"]:
            raise DataError(
                f"the encoder's weights are {weights} in this process and {self.origin.key['weights']} in the one that "
                "started the build; give all nodes the same file"
            )
        return trunk

    @property
    def tokens(self) -> tuple[str, ...]:
        """Scenes, in the order of the rows."""
        return tuple(token for split in self.splits for token in split.tokens)

    def _made(self) -> dict[str, Any]:
        """What the shard is made from; sensor files are taken as never changing."""
        source = [] if self.store else [file_fingerprint(split.log_path(self.data, self.name)) for split in self.splits]
        return {"origin": self.origin.plain, "logs": source}

    def _result(self) -> Result[ShardFacts]:
        facts = FeatureStore.facts(self.out, self.name)
        return Result(facts, self.scenes, facts.bytes)


@dataclass(frozen=True)
class Plan:
    """A store that is to be made."""

    pieces: Sequence[EncodedLog]
    split: dict[str, Any]
    """Plain values that name the split."""
    shape: tuple[int, int]
    """L and D of a scene's tokens."""
    bytes: int
    """Of the store, about."""

    def build(self, executor: Executor | None = None, workers: int = 0) -> Report[ShardFacts]:
        """Make the shards that are missing; see `core.build.build`."""
        first = self.pieces[0]
        logs = {piece.name: piece.tokens for piece in self.pieces}

        def publish(entries: Mapping[str, ShardFacts]) -> None:
            FeatureStore.publish(first.out, self.split, first.origin, logs, entries)

        return build(self.pieces, publish, executor=executor, workers=workers)


def plan(
    splits: Sequence[Split],
    planner: PlannerConfig,
    data: DataConfig,
    out: Path,
    *,
    dtype: str = "float16",
    batch_size: int = 32,
    device: str = "cpu",
    seed: int = 0,
    store: InputStore | None = None,
) -> Plan:
    """Say what is to be made; `out` may hold a part of it or all.

    Args:
        splits: the scenes; no scene in two of them.
        planner: whose encoder's tokens, and whose head's targets.
        data: where logs, sensor files and maps are.
        out: folder of the store.
        dtype: float32, float16 or bfloat16.
        batch_size: scenes that the trunk takes at once, always.
        device: cpu or cuda, where shards are made; this process needs no GPU.
        seed: `train.seed`, for weights that are drawn and not read from a file.
        store: input store to read in place of logs and sensor files.

    Raises:
        ConfigError: the encoder is not frozen; the folder holds a store of another one, or of scenes that are not asked
            for; splits share a scene.
        DataError: the first scene cannot be read.
    """
    spec, logs = InputSpec.of(planner), tokens_by_log(splits)
    _trunk_here.cache_clear()  # the file of its weights may have changed
    trunk, _ = _trunk_here(planner.encoder, seed, device if pick_device("auto") == device else "cpu")
    origin = Origin(
        key=key_of(planner.encoder, trunk, spec),
        modules=modules_of(type(trunk), spec),
        parts=Part.of(spec.without_sensors),
        dtype=dtype,
        batch_size=batch_size,
        device=device,
    )
    about = describe_splits(splits)
    FeatureStore.check_folder(out, origin, logs, about["name"])
    pieces = [
        EncodedLog(
            name=log,
            scenes=len(tokens),
            out=out,
            code=fingerprint(origin.modules),
            splits=tuple(split.one_log(log) for split in splits if log in split.logs),
            planner=planner,
            seed=seed,
            origin=origin,
            data=data,
            store=store,
        )
        for log, tokens in logs.items()
    ]
    row = pieces[0].first_row(trunk)
    length, width = row[FEATURES].shape[1:]
    return Plan(pieces, about, (length, width), about["scenes"] * sum(tensor.nbytes for tensor in row.values()))


@lru_cache(maxsize=1)
def _trunk_here(encoder: EncoderConfig, seed: int, device: str) -> tuple[TrunkEncoder, str]:
    """The trunk of this process and the fingerprint of its weights; all logs share it."""
    trunk = build_trunk(encoder, seed=seed, device=device)
    return trunk, weights_fingerprint(trunk)


def _read(
    dataset: SceneDataset, batch_size: int, failures: SceneFailures, threads: ThreadPoolExecutor
) -> Iterator[list[Example]]:
    """Examples in batches, without those that fail; the next batch is read while one is worked on."""
    parts = [range(start, min(start + batch_size, len(dataset))) for start in range(0, len(dataset), batch_size)]
    ahead = [[threads.submit(dataset.__getitem__, place) for place in part] for part in parts[:1]]
    for number, part in enumerate(parts):
        reading = ahead.pop()
        if number + 1 < len(parts):
            ahead.append([threads.submit(dataset.__getitem__, place) for place in parts[number + 1]])
        examples = []
        for place, future in zip(part, reading, strict=True):
            with failures.of(dataset.tokens[place]):
                examples.append(future.result())
        if examples:
            yield examples


@contextmanager
def _threads(device: str) -> Iterator[ThreadPoolExecutor]:
    """Threads that read. On a CPU one, and one that computes: sums of several differ in the last bits."""
    computing = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(1 if device == "cpu" else available_cpus()) as pool:
            yield pool
    finally:
        torch.set_num_threads(computing)


def _stack(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))

"""Writing an input store, one shard per log; see `core.build`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core.build import Executor, Piece, Report, Result, build
from navforge.core.errors import ConfigError, DataError
from navforge.core.failures import SceneFailures
from navforge.core.files import file_fingerprint, fingerprint
from navforge.core.products import INPUTS
from navforge.core.sharded_store import ShardFacts
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.parts import Part, plain_parts
from navforge.inputs.read import read_stored, refer
from navforge.inputs.shards import FORMAT, Shard, write_shard
from navforge.inputs.store import InputStore, Origin
from navforge.maps.geopackage import map_path
from navforge.models.contract import BEV_SEMANTICS


@dataclass(frozen=True, kw_only=True)
class PackedLog(Piece[ShardFacts]):
    """The shard of one log."""

    product = INPUTS
    splits: tuple[Split, ...]
    """Parts of the splits in this log."""
    spec: InputSpec
    parts: dict[str, Part]
    data: DataConfig

    @property
    def path(self) -> Path:
        """The shard."""
        return InputStore.shard_path(self.out, self.name)

    @property
    def key(self) -> str:
        """Fingerprint of parts, their code, and scenes."""
        return self._made(())

    def code_here(self) -> str:
        """Fingerprint of the code of this process."""
        return code_of(Part.of(self.spec))

    def check(self) -> Result[ShardFacts]:
        """What the manifest says of the shard; DataError if it is damaged or was made from something else."""
        shard = Shard(self.path)
        shard.check()
        if shard.tokens != tuple(token for split in self.splits for token in split.tokens):
            raise DataError("the set of scenes changed")
        if shard.head != self._made(self._inputs()):
            raise DataError("the code, the planner, the log or the map changed")
        return self._result()

    def make(self) -> Result[ShardFacts]:
        """Read the scenes and write the shard."""
        failures = SceneFailures(self.name)

        def read() -> Iterator[tuple[str, dict[str, bytes]]]:
            for scene in self._scenes():
                with failures.of(scene.token):
                    yield scene.token, read_stored(refer(scene, self.spec, self.data), self.spec, self.data)
            failures.require_none()

        made = self._made(self._inputs())
        with self.writing() as path:
            write_shard(path, tuple(self.parts), made, read())
        return self._result()

    def _result(self) -> Result[ShardFacts]:
        facts = InputStore.facts(self.out, self.name)
        return Result(facts, self.scenes, facts.bytes)

    def _scenes(self) -> Iterator[Scene]:
        for split in self.splits:
            yield from read_scenes(split, self.data, self.name)

    def _inputs(self) -> tuple[list[str], list[str]]:
        """Fingerprints of logs and maps; sensor files are taken as never changing."""
        logs = [file_fingerprint(split.log_path(self.data, self.name)) for split in self.splits]
        if BEV_SEMANTICS not in self.parts:
            return logs, []
        locations = sorted({scene.map_location for scene in self._scenes()})
        return logs, [file_fingerprint(map_path(self.data.map_root(), location)) for location in locations]

    def _made(self, inputs: tuple[list[str], ...]) -> str:
        tokens = [list(split.tokens) for split in self.splits]
        return fingerprint(FORMAT, plain_parts(self.parts), tokens, *inputs)


def code_of(parts: dict[str, Part]) -> str:
    """Fingerprint of the code that makes some parts."""
    return fingerprint({name: part.code for name, part in parts.items()})


def pack(
    splits: Sequence[Split],
    spec: InputSpec,
    data: DataConfig,
    out: Path,
    *,
    workers: int = 0,
    executor: Executor | None = None,
) -> Report[ShardFacts]:
    """Write or finish the store of some splits' scenes; it is published (can be opened) only if every scene was read.

    Args:
        splits: the scenes; no scene in two of them.
        spec: what is read of each.
        data: where logs, sensor files and maps are.
        out: folder of the store.
        workers: processes; 0 for one per CPU.
        executor: makes the shards; None: processes of this machine.

    Raises:
        ConfigError: the folder holds a store of another configuration or of scenes that are not asked for, or splits
            share a scene.
    """
    parts = Part.of(spec)
    logs = tokens_by_log(splits)
    about = describe_splits(splits)
    InputStore.check_folder(out, Origin(parts), logs, about["name"])
    pieces = [
        PackedLog(
            name=log,
            scenes=len(tokens),
            out=out,
            code=code_of(parts),
            splits=tuple(split.one_log(log) for split in splits if log in split.logs),
            spec=spec,
            parts=parts,
            data=data,
        )
        for log, tokens in logs.items()
    ]

    def publish(entries: Mapping[str, ShardFacts]) -> None:
        InputStore.publish(out, about, Origin(parts), logs, entries)

    return build(pieces, publish, executor=executor, workers=workers)


def tokens_by_log(splits: Sequence[Split]) -> dict[str, tuple[str, ...]]:
    """Tokens of each log, in the splits' order; raises ConfigError where two splits share a scene."""
    by_log: dict[str, tuple[str, ...]] = {}
    for split in splits:
        for log, tokens in split.logs.items():
            by_log[log] = (*by_log.get(log, ()), *tokens)
    for log, tokens in by_log.items():
        if len(set(tokens)) < len(tokens):
            twice = next(token for token in tokens if tokens.count(token) > 1)
            raise ConfigError(f"split and val_split share scene {twice} of log {log}; give others")
    return by_log


def describe_splits(splits: Sequence[Split]) -> dict[str, Any]:
    """Plain values that name the scenes of a store."""
    return {
        "name": "+".join(split.name for split in splits),
        "hash": fingerprint("tokens", sorted(token for split in splits for token in split.tokens)),
        "scenes": sum(map(len, splits)),
        "missing": sum(len(split.missing) for split in splits),
    }

"""Writing an input store: one shard per log over a pool of processes, whole shards kept, the manifest last."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from navforge.core import parallel
from navforge.core.errors import ConfigError, DataError, NavforgeError
from navforge.core.failures import FAILURES, Failure, write_failures
from navforge.core.files import file_fingerprint, fingerprint
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene, read_scenes
from navforge.data.splits import Split
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.read import read_stored, refer
from navforge.inputs.shards import Shard, write_shard
from navforge.inputs.store import FORMAT, MANIFEST, SHARD_FOLDER, InputStore, Part, shard_path, write_store
from navforge.maps.geopackage import map_path
from navforge.models.contract import BEV_SEMANTICS


@dataclass(frozen=True)
class PackedLog:
    """What became of one log."""

    name: str
    scenes: int = 0
    bytes: int = 0
    reused: bool = False
    failures: list[Failure] = field(default_factory=list)
    """Scenes that could not be read, and why; then there is no shard."""


@dataclass(frozen=True)
class PackReport:
    """What became of a store."""

    logs: list[PackedLog]
    seconds: float

    @property
    def failures(self) -> list[Failure]:
        """Scenes that could not be read, and why; empty: the store is complete."""
        return [failure for log in self.logs for failure in log.failures]


@dataclass(frozen=True)
class _Job:
    """One log, light enough to hand to a worker process."""

    log: str
    splits: tuple[Split, ...]
    """Parts of the splits in this log."""
    spec: InputSpec
    parts: dict[str, Part]
    data: DataConfig
    path: Path

    def scenes(self) -> Iterator[Scene]:
        for split in self.splits:
            yield from read_scenes(split, self.data, self.log)

    def made(self) -> str:
        """Fingerprint of what the shard is made from; sensor files are taken as never changing."""
        logs = [file_fingerprint(split.log_path(self.data, self.log)) for split in self.splits]
        maps = []
        if BEV_SEMANTICS in self.parts:
            locations = sorted({scene.map_location for scene in self.scenes()})
            maps = [file_fingerprint(map_path(self.data.map_root(), location)) for location in locations]
        tokens = [list(split.tokens) for split in self.splits]
        return fingerprint(FORMAT, {name: asdict(part) for name, part in self.parts.items()}, tokens, logs, maps)


def pack(splits: Sequence[Split], spec: InputSpec, data: DataConfig, out: Path, *, workers: int = 0) -> PackReport:
    """Write or finish the store of some splits' scenes; it is published (can be opened) only if every scene was read.

    Args:
        splits: the scenes; no scene in two of them.
        spec: what is read of each.
        data: where logs, sensor files and maps are.
        out: folder of the store.
        workers: processes; 0 for one per CPU.

    Raises:
        ConfigError: the folder holds a store of another configuration or of scenes that are not asked for, or splits
            share a scene.
    """
    started = time.perf_counter()
    parts = Part.of(spec)
    tokens = _tokens(splits)
    _check_folder(out, parts, tokens)
    jobs = [
        _Job(
            log=log,
            splits=tuple(split.one_log(log) for split in splits if log in split.logs),
            spec=spec,
            parts=parts,
            data=data,
            path=shard_path(out, log),
        )
        for log in tokens
    ]
    if _published(out, parts, tokens) is None:
        (out / MANIFEST).unlink(missing_ok=True)
    logs = [_result(outcome) for outcome in parallel.run(_pack_log, jobs, workers=workers, label="packing")]
    report = PackReport(sorted(logs, key=lambda log: log.name), time.perf_counter() - started)
    write_failures(out / FAILURES, report.failures)
    if report.failures:
        (out / MANIFEST).unlink(missing_ok=True)
    else:
        about = {
            "name": "+".join(split.name for split in splits),
            "hash": fingerprint("tokens", sorted(token for log in tokens.values() for token in log)),
            "scenes": sum(map(len, tokens.values())),
            "missing": sum(len(split.missing) for split in splits),
        }
        write_store(out, about, parts, tokens)
    return report


def _tokens(splits: Sequence[Split]) -> dict[str, tuple[str, ...]]:
    """Tokens of each log, in the splits' order."""
    found: dict[str, tuple[str, ...]] = {}
    for split in splits:
        for log, tokens in split.logs.items():
            found[log] = (*found.get(log, ()), *tokens)
    for log, tokens in found.items():
        if len(set(tokens)) < len(tokens):
            twice = next(token for token in tokens if tokens.count(token) > 1)
            raise ConfigError(f"split and val_split share scene {twice} of log {log}; give others")
    return found


def _check_folder(out: Path, parts: dict[str, Part], tokens: dict[str, tuple[str, ...]]) -> None:
    """Refuse to write over a complete store of another configuration, or one that would lose scenes."""
    if not (out / MANIFEST).is_file():
        _check_unfinished(out, tokens)
        return
    held = InputStore.open(out)
    old = {name: part.config for name, part in held.parts.items()}
    new = {name: part.config for name, part in parts.items()}
    if different := [name for name in {**old, **new} if old.get(name) != new.get(name)]:
        raise ConfigError(
            f"out: {out} holds a complete store whose {', '.join(different)} differ from what is asked for; "
            "give another out or delete it"
        )
    if lost := len(set(held.tokens).difference(*tokens.values())):
        raise ConfigError(
            f"out: {out} holds a complete store of {held.split['name']} with {len(held)} scenes, {lost} of which are "
            "not asked for and would be lost; give another out=, or pack both at once with split= val_split="
        )


def _check_unfinished(out: Path, tokens: dict[str, tuple[str, ...]]) -> None:
    """Refuse to write other scenes into an unfinished store."""
    for path in sorted((out / SHARD_FOLDER).glob("*.arrow")):
        try:
            held = set(Shard(path).row_tokens())
        except DataError:
            continue  # damaged: nothing to lose
        if lost := held.difference(tokens.get(path.stem, ())):
            raise ConfigError(
                f"out: {out} holds an unfinished store: its shard {path.name} has {len(held)} scenes, {len(lost)} of "
                "which are not asked for and would be lost; give another out= or delete the folder"
            )


def _published(out: Path, parts: dict[str, Part], tokens: dict[str, tuple[str, ...]]) -> InputStore | None:
    """The store in the folder if it already is what is asked for."""
    if not (out / MANIFEST).is_file():
        return None
    held = InputStore.open(out)
    same = held.parts == parts and held.tokens == tuple(token for log in tokens.values() for token in log)
    return held if same else None


def _pack_log(job: _Job) -> PackedLog:
    made = job.made()
    tokens = [token for split in job.splits for token in split.tokens]
    if _is_whole(job, made, tokens):
        return PackedLog(job.log, len(tokens), job.path.stat().st_size, reused=True)
    failures: list[Failure] = []

    def read() -> Iterator[tuple[str, dict[str, bytes]]]:
        for scene in job.scenes():
            try:
                yield scene.token, read_stored(refer(scene, job.spec, job.data), job.spec, job.data)
            except Exception as error:  # the boundary of one scene: the others are tried, all failures are named
                known = isinstance(error, NavforgeError)
                cause = str(error) if known else f"{type(error).__name__}: {error}"
                failures.append(Failure(scene.token, job.log, cause, traceback.format_exc()))
        if failures:
            raise _ScenesFailedError

    try:
        write_shard(job.path, tuple(job.parts), made, read())
    except _ScenesFailedError:
        return PackedLog(job.log, failures=failures)
    return PackedLog(job.log, len(tokens), job.path.stat().st_size)


def _is_whole(job: _Job, made: str, tokens: list[str]) -> bool:
    """Whether the log's shard is there, made from the same and undamaged to the last byte."""
    if not job.path.exists():
        return False
    try:
        shard = Shard(job.path)
        return shard.made == made and list(shard.tokens()) == tokens
    except DataError:
        return False


def _result(outcome: parallel.Outcome[_Job, PackedLog]) -> PackedLog:
    """The outcome of a job; where the job itself failed, every scene of its log did."""
    if outcome.result is not None:
        return outcome.result
    tokens = [token for split in outcome.item.splits for token in split.tokens]
    log, error, trace = outcome.item.log, str(outcome.error), str(outcome.traceback)
    return PackedLog(log, failures=[Failure(token, log, error, trace) for token in tokens])


class _ScenesFailedError(Exception):
    """Some scenes of a log could not be read, so its shard is not written."""

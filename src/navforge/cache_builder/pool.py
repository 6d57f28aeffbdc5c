"""The metric cache of a whole split: its logs over a pool of processes, finished ones reused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from navforge.cache_builder.build import build_log, map_fingerprints
from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.core.failures import FAILURES, Failure, write_failures
from navforge.core.files import file_fingerprint, fingerprint
from navforge.core.products import require_none_lost
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.metric_cache.container import read_meta
from navforge.metric_cache.fingerprint import FORMAT, code_fingerprint
from navforge.metric_cache.log_file import write_log
from navforge.metric_cache.store import (
    LOG_FOLDER,
    MANIFEST,
    SUFFIX,
    CachedLog,
    Made,
    check_whole,
    log_path,
    split_name,
    write_manifest,
)

_SERIAL_BYTES = 1 << 30


@dataclass(frozen=True)
class Job:
    """One log to cache."""

    split: Split
    """Cut down to the one log."""
    data: DataConfig
    out: Path
    code: str
    allow_missing: bool

    @property
    def log_name(self) -> str:
        """The log."""
        return next(iter(self.split.logs))


@dataclass(frozen=True)
class LogOutcome:
    """What became of one log."""

    log_name: str
    scenes: int = 0
    reused: bool = False
    reason: str = ""
    """Why an existing file was not reused."""
    seconds: float = 0.0
    bytes: int = 0
    cached: CachedLog | None = None
    """The manifest's line; None where no file was written."""
    failures: list[Failure] = field(default_factory=list)
    left_out: bool = False
    """Every scene failed, and scenes may be missing: the log has no file."""


@dataclass(frozen=True)
class CacheReport:
    """What a run did."""

    outcomes: list[LogOutcome]
    seconds: float
    complete: bool
    """Whether the manifest was written."""

    @property
    def failures(self) -> list[Failure]:
        """All failed scenes."""
        return [failure for outcome in self.outcomes for failure in outcome.failures]

    def scenes(self, *, reused: bool) -> int:
        """Scenes that are on disk now, reused or built."""
        return sum(outcome.scenes for outcome in self.outcomes if outcome.reused is reused and outcome.cached)

    @property
    def bytes(self) -> int:
        """Size of all log files."""
        return sum(outcome.bytes for outcome in self.outcomes)

    @property
    def build_seconds(self) -> float:
        """Core seconds spent on building scenes."""
        return sum(outcome.seconds for outcome in self.outcomes if not outcome.reused)


def cache_split(
    split: Split, data: DataConfig, out: Path, *, workers: int = 0, allow_missing: bool = False
) -> CacheReport:
    """Bring the cache of a split up to date.

    A log's file is written when all its scenes succeeded; with `allow_missing`, without those that failed, and not at
    all where every scene failed. The manifest goes first when anything has to be rebuilt and comes back when every log
    is there, so that an interrupted or failed run leaves no cache that can be opened, but all its finished logs to be
    reused.

    Args:
        split: the scenes.
        data: where logs and maps are.
        out: folder of the cache.
        workers: processes; 0 for one per CPU.
        allow_missing: leave out scenes that fail instead of refusing the whole cache.

    Raises:
        ConfigError: the folder holds scenes that are not in the split.
    """
    started = time.perf_counter()
    require_same_scenes(out, split)
    (out / FAILURES).unlink(missing_ok=True)
    jobs = [Job(split.one_log(log), data, out, code_fingerprint(), allow_missing) for log in split.logs]
    outcomes = sorted(_run(jobs, out, workers), key=lambda outcome: outcome.log_name)
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    logs = {outcome.log_name: outcome.cached for outcome in outcomes if outcome.cached is not None}
    complete = bool(logs) and all(outcome.cached is not None or outcome.left_out for outcome in outcomes)
    if complete:
        described = {"name": split.name, "hash": split.hash, "missing": len(split.missing)}
        write_manifest(out, described, logs)
    write_failures(out / FAILURES, failures)
    return CacheReport(outcomes, time.perf_counter() - started, complete)


def require_same_scenes(out: Path, split: Split) -> None:
    """Raise ConfigError if log files in `out`, of a complete cache or not, hold scenes that the split lacks.

    A file that cannot be read holds nothing to lose.
    """
    scenes = lost = 0
    present = set(split.tokens)
    for path in sorted((out / LOG_FOLDER).glob(f"*{SUFFIX}")):
        try:
            tokens = tuple(read_meta(path)["tokens"])
        except (DataError, KeyError, TypeError):
            continue
        scenes += len(tokens)
        lost += len(set(tokens) - present)
    if lost:
        name = split_name(out)
        holds = "the unfinished metric cache of another split" if name is None else f"the metric cache of split {name}"
        require_none_lost(out, holds, scenes, lost, split.name)


def _run(jobs: list[Job], out: Path, workers: int) -> Iterator[LogOutcome]:
    """Reuse what is up to date, then build the rest."""
    stale: list[Job] = []
    reasons: dict[str, str] = {}
    for checked in parallel.run(check_log, jobs, workers=_few(workers, jobs), label="checking"):
        outcome = _result(checked)
        if outcome.cached is not None:
            yield outcome
        else:
            reasons[outcome.log_name] = outcome.reason
            stale.append(checked.item)
    if stale:
        (out / MANIFEST).unlink(missing_ok=True)
    for built in parallel.run(cache_log, sorted(stale, key=lambda job: job.log_name), workers=workers, label="caching"):
        yield replace(_result(built), reason=reasons[built.item.log_name])


def _few(workers: int, jobs: list[Job]) -> int:
    """One process where little has to be read: starting others takes longer."""
    existing = [job for job in jobs if log_path(job.out, job.log_name).exists()]
    inputs = sum(job.split.log_path(job.data, job.log_name).stat().st_size for job in existing)
    return workers if inputs > _SERIAL_BYTES else 1


def _result(outcome: parallel.Outcome[Job, LogOutcome]) -> LogOutcome:
    """The outcome of a job; where the job itself failed, every scene of its log did."""
    if outcome.result is not None:
        return outcome.result
    log = outcome.item.log_name
    error, trace = str(outcome.error), str(outcome.traceback)
    failures = [Failure(token, log, error, trace) for token in outcome.item.split.logs[log]]
    return LogOutcome(log, failures=failures)


def check_log(job: Job) -> LogOutcome:
    """Whether the log's file is whole and was made from what is there now."""
    path = log_path(job.out, job.log_name)
    if not path.exists():
        return LogOutcome(job.log_name, reason="new")
    try:
        meta = check_whole(path)
        made = Made(**meta["made"])
        tokens, failed = tuple(meta["tokens"]), dict(meta["failed"])
        current = _made(job, set(made.maps))
    except (DataError, KeyError, TypeError) as error:
        return LogOutcome(job.log_name, reason=str(error))
    changed = current.difference(made)
    if changed:
        return LogOutcome(job.log_name, reason=f"{changed} changed")
    if failed and not job.allow_missing:
        return LogOutcome(job.log_name, reason=f"{len(failed)} of its scenes failed before")
    cached = CachedLog(made=made.key, tokens=tokens, failed=failed)
    return LogOutcome(job.log_name, scenes=len(tokens), reused=True, bytes=path.stat().st_size, cached=cached)


def cache_log(job: Job) -> LogOutcome:
    """Build one log and write its file."""
    built = build_log(job.split, job.data, job.log_name)
    scenes = built.record.scenes
    failed = {failure.token: failure.error for failure in built.failures if failure.token}
    if not scenes or (failed and not job.allow_missing):
        return LogOutcome(
            job.log_name,
            scenes=len(scenes),
            seconds=built.seconds,
            failures=built.failures,
            left_out=job.allow_missing and not scenes,
        )
    made = _made(job, {entry.scene.map_location for entry in scenes})
    meta = {"made": asdict(made), "failed": failed}
    size = write_log(log_path(job.out, job.log_name), built.record, meta)
    cached = CachedLog(made=made.key, tokens=tuple(entry.scene.token for entry in scenes), failed=failed)
    return LogOutcome(
        job.log_name,
        scenes=len(scenes),
        seconds=built.seconds,
        bytes=size,
        cached=cached,
        failures=built.failures,
    )


def _made(job: Job, locations: set[str]) -> Made:
    window = job.split.filter
    return Made(
        format=FORMAT,
        code=job.code,
        scenes=fingerprint(list(job.split.logs[job.log_name]), window.num_history_frames, window.num_future_frames),
        log=file_fingerprint(job.split.log_path(job.data, job.log_name)),
        maps=map_fingerprints(job.data, locations),
    )

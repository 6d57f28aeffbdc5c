"""The metric cache of a whole split, log by log; see `core.build`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from navforge.cache_builder.build import build_log, map_fingerprints
from navforge.core.build import Executor, Piece, Report, Result, build
from navforge.core.errors import DataError
from navforge.core.failures import LogFailedError
from navforge.core.files import file_fingerprint, fingerprint
from navforge.core.products import CACHE, require_none_lost
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.metric_cache.container import read_meta
from navforge.metric_cache.fingerprint import FORMAT, code_fingerprint
from navforge.metric_cache.log_file import write_log
from navforge.metric_cache.store import (
    LOG_FOLDER,
    SUFFIX,
    CachedLog,
    Made,
    check_whole,
    log_path,
    split_name,
    write_manifest,
)


@dataclass(frozen=True, kw_only=True)
class LogCache(Piece[CachedLog]):
    """The file of one log.

    It is written when all scenes of the log succeeded; with `allow_missing` without those that failed, and not at all
    where every scene failed.
    """

    product = CACHE
    split: Split
    """Cut down to the one log."""
    data: DataConfig
    allow_missing: bool

    @property
    def path(self) -> Path:
        """The log's file."""
        return log_path(self.out, self.name)

    @property
    def key(self) -> str:
        """Fingerprint of code, scenes and whether any may be missing."""
        return fingerprint(FORMAT, self.code, self._scenes(), self.allow_missing)

    def code_here(self) -> str:
        """Fingerprint of the code of this process."""
        return code_fingerprint()

    def check(self) -> Result[CachedLog]:
        """What the file holds; DataError if it is damaged or was not made from what is there now."""
        meta = check_whole(self.path)
        try:
            made = Made(**meta["made"])
            tokens, failed = tuple(meta["tokens"]), dict(meta["failed"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{self.path} does not say what it was made from") from error
        if changed := self._made(set(made.maps)).difference(made):
            raise DataError(f"{changed} changed")
        if failed and not self.allow_missing:
            raise DataError(f"{len(failed)} of its scenes failed before")
        return Result(CachedLog(made=made.key, tokens=tokens, failed=failed), len(tokens), self.path.stat().st_size)

    def make(self) -> Result[CachedLog]:
        """Build the scenes and write the file."""
        built = build_log(self.split, self.data, self.name)
        scenes, failures = built.record.scenes, tuple(built.failures)
        failed = {failure.token: failure.error for failure in failures if failure.token}
        if failed and not self.allow_missing:
            raise LogFailedError(failures)
        if not scenes:
            return Result(CachedLog(made="", tokens=(), failed=failed), failures=failures)
        made = self._made({entry.scene.map_location for entry in scenes})
        with self.writing() as path:
            size = write_log(path, built.record, {"made": asdict(made), "failed": failed})
        tokens = tuple(entry.scene.token for entry in scenes)
        return Result(CachedLog(made=made.key, tokens=tokens, failed=failed), len(tokens), size, failures)

    def _scenes(self) -> str:
        window = self.split.filter
        return fingerprint(list(self.split.logs[self.name]), window.num_history_frames, window.num_future_frames)

    def _made(self, locations: set[str]) -> Made:
        return Made(
            format=FORMAT,
            code=self.code,
            scenes=self._scenes(),
            log=file_fingerprint(self.split.log_path(self.data, self.name)),
            maps=map_fingerprints(self.data, locations),
        )


def cache_split(
    split: Split,
    data: DataConfig,
    out: Path,
    *,
    workers: int = 0,
    allow_missing: bool = False,
    executor: Executor | None = None,
) -> Report[CachedLog]:
    """Bring the cache of a split up to date.

    Args:
        split: the scenes.
        data: where logs and maps are.
        out: folder of the cache.
        workers: processes; 0 for one per CPU.
        allow_missing: leave out scenes that fail instead of refusing the whole cache.
        executor: makes the files; None: processes of this machine.

    Raises:
        ConfigError: the folder holds scenes that are not in the split.
    """
    require_same_scenes(out, split)
    code = code_fingerprint()
    pieces = [
        LogCache(
            name=log,
            scenes=len(tokens),
            out=out,
            code=code,
            split=split.one_log(log),
            data=data,
            allow_missing=allow_missing,
        )
        for log, tokens in sorted(split.logs.items())
    ]

    def publish(logs: Mapping[str, CachedLog]) -> None:
        described = {"name": split.name, "hash": split.hash, "missing": len(split.missing)}
        write_manifest(out, described, {name: log for name, log in logs.items() if log.tokens})

    return build(pieces, publish, executor=executor, workers=workers)


def require_same_scenes(out: Path, split: Split) -> None:
    """Raise ConfigError if log files in `out`, of a complete cache or not, hold scenes that the split lacks.

    A file that cannot be read holds nothing to lose.
    """
    held: list[str] = []
    for path in sorted((out / LOG_FOLDER).glob(f"*{SUFFIX}")):
        with suppress(DataError, KeyError, TypeError):
            held += read_meta(path)["tokens"]
    name = split_name(out)
    holds = "the unfinished metric cache of another split" if name is None else f"the metric cache of split {name}"
    require_none_lost(out, holds, held, split.tokens, split.name)

"""The metric cache on disk: a folder with one file per log and a manifest written last.

    OUT/cache.json          what the cache holds; written when every log is there
    OUT/logs/LOG.nfc        one log (`log_file`)

A log file says what it was made from (`Made`); the manifest repeats it, so that a file from another run is noticed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from navforge.core.code import describe_changes
from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.core.outside.files import shown
from navforge.core.outside.records import record
from navforge.core.outside.sealed import unsealed, write_sealed
from navforge.core.outside.text import read_json
from navforge.metric_cache.container import read_arrays, read_meta
from navforge.metric_cache.fingerprint import FORMAT, builder_modules, code_fingerprint
from navforge.metric_cache.log_file import LogFile
from navforge.metric_cache.scene import CachedScene

MANIFEST = "cache.json"
LOG_FOLDER = "logs"
SUFFIX = ".nfc"

_OPEN_LOGS = 4
_WHAT = "metric cache manifest"
_REMEDY = "run `navforge cache` with the same split and out again"


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one log file was made from. Equal values mean equal contents."""

    format: int
    """`fingerprint.FORMAT`."""
    code: str
    """`fingerprint.code_fingerprint()`."""
    scenes: str
    """Fingerprint of the scenes asked for: tokens and the numbers of frames of a window."""
    log: str
    """Fingerprint of the log's pickle."""
    maps: dict[str, str]
    """Fingerprint of the map file of each location."""

    def difference(self, other: Made) -> str | None:
        """The first thing that differs, in words; None where nothing does."""
        words = {
            "format": "the file format",
            "code": "the code",
            "scenes": "the set of scenes",
            "log": "the log",
            "maps": "the map",
        }
        for name, what in words.items():
            if getattr(self, name) != getattr(other, name):
                return what
        return None

    @property
    def key(self) -> str:
        """One fingerprint of everything."""
        return fingerprint(asdict(self))


@dataclass(frozen=True, kw_only=True)
class CachedLog:
    """A log's line in the manifest."""

    made: str
    """`Made.key` of its file."""
    tokens: tuple[str, ...]
    """Scenes in time order."""
    failed: dict[str, str]
    """Scenes left out, with the cause."""


@dataclass(frozen=True)
class _Manifest:
    format: int
    code: str
    modules: dict[str, str]
    split: dict[str, Any]
    logs: dict[str, CachedLog]


def log_path(folder: Path | str, log_name: str) -> Path:
    """Where the file of a log lies."""
    return Path(folder) / LOG_FOLDER / f"{log_name}{SUFFIX}"


def made_of(path: Path) -> Made:
    """What a log file says it was made from; DataError if it cannot be read."""
    meta = read_meta(path)
    try:
        return record(Made, meta["made"])
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} does not say what it was made from") from error


def check_whole(path: Path) -> dict[str, Any]:
    """The meta of a log file after a check of every byte; DataError if it is damaged."""
    return read_arrays(path)[0]


def split_name(folder: Path) -> str | None:
    """Name of the split that a complete cache was built for, of whatever format; None if it is not complete."""
    try:
        return str(read_json(folder / MANIFEST, _WHAT)["split"]["name"])
    except (DataError, KeyError, TypeError):
        return None


def write_manifest(folder: Path | str, split: Mapping[str, Any], logs: Mapping[str, CachedLog]) -> None:
    """Declare a cache complete.

    Args:
        folder: of the cache.
        split: plain values that name the split the cache was built for.
        logs: by log name.
    """
    content = {
        "format": FORMAT,
        "code": code_fingerprint(),
        "modules": dict(builder_modules()),
        "split": dict(split),
        "logs": {name: asdict(logs[name]) for name in sorted(logs)},
    }
    write_sealed(Path(folder) / MANIFEST, content)


class MetricCache:
    """A complete metric cache, read log by log; the last few logs stay in memory."""

    def __init__(self, folder: Path, split: dict[str, Any], logs: dict[str, CachedLog]) -> None:
        """Use `open`."""
        self.folder = folder
        self.split = split
        """What the cache was built for: `name`, `hash` and number of `missing` scenes of the split."""
        self._logs = logs
        self._log_of = {token: name for name, log in logs.items() for token in log.tokens}
        self._files: OrderedDict[str, LogFile] = OrderedDict()

    @classmethod
    def open(cls, folder: Path | str) -> MetricCache:
        """Open a cache.

        Raises:
            DataError: there is none, it is incomplete, or it was made by other code.
        """
        folder = Path(folder)
        path = folder / MANIFEST
        if not path.is_file():
            state = "is not complete" if (folder / LOG_FOLDER).is_dir() else "does not exist"
            raise DataError(f"the metric cache {folder} {state} (no {MANIFEST}); {_REMEDY}")
        content = read_json(path, _WHAT, remedy=_REMEDY)
        if (form := content.get("format")) != FORMAT:
            raise DataError(
                f"the metric cache {folder} is stale: its format is {shown(form)}, this navforge reads {FORMAT}; "
                f"{_REMEDY}"
            )
        try:
            manifest = record(_Manifest, unsealed(content))
        except ValueError as error:
            raise DataError(f"{_WHAT} {path} is damaged: {error}; {_REMEDY}") from error
        if manifest.code != code_fingerprint():
            reason = describe_changes(manifest.modules, builder_modules())
            raise DataError(f"the metric cache {folder} is stale: {reason}; {_REMEDY}")
        return cls(folder, manifest.split, manifest.logs)

    @property
    def tokens(self) -> tuple[str, ...]:
        """All scenes, log by log, in time order."""
        return tuple(self._log_of)

    @property
    def logs(self) -> tuple[str, ...]:
        """All logs, by name."""
        return tuple(self._logs)

    @property
    def failed(self) -> dict[str, str]:
        """Scenes of the split that could not be cached, with the cause (`allow_missing=true` left them out)."""
        return {token: cause for log in self._logs.values() for token, cause in log.failed.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Fingerprint of the whole set: code, inputs and scenes."""
        return fingerprint({name: [log.made, list(log.tokens)] for name, log in self._logs.items()})

    def __contains__(self, token: str) -> bool:
        return token in self._log_of

    def __len__(self) -> int:
        return len(self._log_of)

    def log_of(self, token: str) -> str:
        """Name of a scene's log.

        Raises:
            DataError: the cache does not hold the scene.
        """
        if token in self._log_of:
            return self._log_of[token]
        cause = self.failed.get(token)
        why = f": it could not be cached ({cause})" if cause else f" of {len(self)} scenes"
        raise DataError(f"the metric cache {self.folder} does not hold scene {token}{why}")

    def tokens_of(self, log_name: str) -> tuple[str, ...]:
        """Scenes of one log in time order; DataError if the cache does not hold the log."""
        return self._log(log_name).tokens

    def load(self, token: str) -> CachedScene:
        """One scene; the whole file of its log is read if it is not in memory.

        Raises:
            DataError: the cache does not hold the scene, or its file is missing, damaged or of another run.
        """
        return self._file(self.log_of(token)).scene(token)

    def load_log(self, log_name: str) -> list[CachedScene]:
        """All scenes of one log in time order; raises as `load`."""
        self._log(log_name)
        return self._file(log_name).scenes()

    def _log(self, log_name: str) -> CachedLog:
        if log_name not in self._logs:
            raise DataError(f"the metric cache {self.folder} does not hold log {log_name}")
        return self._logs[log_name]

    def _file(self, log_name: str) -> LogFile:
        if log_name in self._files:
            self._files.move_to_end(log_name)
            return self._files[log_name]
        path = log_path(self.folder, log_name)
        try:
            if made_of(path).key != self._logs[log_name].made:
                raise DataError(f"{path} is stale: it was not made for this cache's {MANIFEST}")
            file = LogFile(path)
        except DataError as error:
            raise DataError(f"{error}; {_REMEDY}") from error
        self._files[log_name] = file
        while len(self._files) > _OPEN_LOGS:
            self._files.popitem(last=False)
        return file

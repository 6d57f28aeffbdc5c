"""Splits: exact sets of scene tokens with a hash, checked against what is on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.data.filters import SceneFilter, read_filter
from navforge.data.logs import read_log
from navforge.data.paths import DataConfig
from navforge.data.windows import windows

FOLDER_FILTER = SceneFilter(frame_interval=1)
"""What `split=FOLDER` takes of a folder's logs: every window with a route."""

_LISTED = 20
_SERIAL_BYTES = 64 << 20


@dataclass(frozen=True)
class Split:
    """A set of scenes, by log."""

    name: str
    """Folder name, or stem of the scene-filter file."""
    filter: SceneFilter = field(repr=False)
    logs: dict[str, tuple[str, ...]] = field(repr=False)
    """Tokens of each log in time order; logs in order of name, none of them empty."""
    folders: dict[str, str] = field(repr=False)
    """Folder of each log under the log root, and under the sensor root."""
    missing: tuple[str, ...] = ()
    """Tokens the filter lists that are not on disk, sorted. Results computed on a split with any must say so."""
    missing_logs: dict[str, str] = field(default_factory=dict)
    """Logs the filter lists that are not on disk or cannot be read, and why."""

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """All tokens, log by log, in time order."""
        return tuple(token for tokens in self.logs.values() for token in tokens)

    @cached_property
    def hash(self) -> str:
        """Hash of the token set, whatever its order or origin."""
        return fingerprint("tokens", sorted(self.tokens))

    @property
    def complete(self) -> bool:
        """Whether nothing the filter lists is missing."""
        return not self.missing and not self.missing_logs

    def __len__(self) -> int:
        return len(self.tokens)

    def log_path(self, data: DataConfig, log_name: str) -> Path:
        """Pickle file of one log."""
        return data.log_root() / self.folders[log_name] / f"{log_name}.pkl"

    def one_log(self, log_name: str) -> Split:
        """The part of the split in one log, light enough to hand to a worker process."""
        if log_name not in self.logs:
            raise DataError(f"split {self.name} has no log {log_name!r}")
        light = _windows_only(self.filter)
        return Split(self.name, light, {log_name: self.logs[log_name]}, {log_name: self.folders[log_name]})

    def describe_missing(self) -> str:
        """What is missing, counted, with the first few of each; empty if nothing is."""
        return _describe_missing(self)


def load_split(split: str, data: DataConfig, *, allow_missing: bool = False, workers: int = 0) -> Split:
    """Find a split's scenes on disk.

    Every log of the split is opened once; a listed log may lie in any folder under the log root.

    Args:
        split: name of a folder under the log root (every window of 4 + 10 frames with a route), or path of a
            scene-filter YAML file.
        data: where the logs are.
        allow_missing: return a split that names what is missing in `missing` and `missing_logs` instead of refusing.
        workers: processes that open logs; 0: one per CPU where the logs are large.

    Raises:
        DataError: no such folder or file, no scene at all, a token in two places, or scenes missing on disk.
    """
    root = data.log_root()
    if Path(split).suffix in (".yaml", ".yml"):
        name, scene_filter = Path(split).stem, read_filter(split)
        paths, missing_logs = _find_logs(root, scene_filter.log_names)
    else:
        name, scene_filter = split, FOLDER_FILTER
        paths, missing_logs = _folder_logs(root, split), {}
    found, unreadable = _scan(paths, scene_filter, workers)
    missing_logs |= unreadable
    wanted = None if scene_filter.tokens is None else frozenset(scene_filter.tokens)
    logs = _select(found, wanted)
    present = {token for tokens in logs.values() for token in tokens}
    absent = sorted((wanted or frozenset()) - present) + list(scene_filter.synthetic_tokens)
    logs = _limit(logs, scene_filter.max_scenes)
    result = Split(
        name=name,
        filter=scene_filter,
        logs=logs,
        folders={log: paths[log].parent.name for log in logs},
        missing=tuple(absent),
        missing_logs=missing_logs,
    )
    if not result.complete and not allow_missing:
        raise DataError(f"{result.describe_missing()}; allow_missing=true goes on without them, and results say so")
    if not result.logs:
        raise DataError(
            f"split {name}: no scene found under {root}; {result.describe_missing() or 'its logs are empty'}"
        )
    return result


def _folder_logs(root: Path, folder: str) -> dict[str, Path]:
    if not (root / folder).is_dir() or Path(folder).name != folder:
        folders = sorted(path.name for path in root.iterdir() if path.is_dir())
        raise DataError(
            f"split {folder!r}: no folder of that name under {root} (there: {', '.join(folders) or 'none'}); "
            "give one of them or the path of a scene-filter .yaml"
        )
    paths = {path.stem: path for path in sorted((root / folder).glob("*.pkl"))}
    if not paths:
        raise DataError(f"split {folder!r}: {root / folder} holds no .pkl log")
    return paths


def _find_logs(root: Path, log_names: Iterable[str] | None) -> tuple[dict[str, Path], dict[str, str]]:
    """Path of each wanted log, by name, and the reason of each that is not there.

    A log that lies in several folders is taken from the folder that holds most of the wanted ones, so that logs and
    sensor files of one split come from one download.
    """
    wanted = None if log_names is None else set(log_names)
    places: dict[str, list[Path]] = {}
    for path in sorted(root.glob("*/*.pkl")):
        if wanted is None or path.stem in wanted:
            places.setdefault(path.stem, []).append(path)
    held = Counter(path.parent.name for paths in places.values() for path in paths)
    chosen = {log: min(places[log], key=lambda p: (-held[p.parent.name], p.parent.name)) for log in sorted(places)}
    return chosen, {log: "not found" for log in sorted((wanted or set()) - chosen.keys())}


def _scan(
    paths: dict[str, Path], scene_filter: SceneFilter, workers: int
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Tokens of every window of every log, logs in order of name; and logs that cannot be read, with the reason."""
    bare = _windows_only(scene_filter)
    if not workers and sum(path.stat().st_size for path in paths.values()) < _SERIAL_BYTES:
        workers = 1
    found, unreadable = {}, {}
    items = [(path, bare) for path in paths.values()]
    for outcome in parallel.run(_log_tokens, items, workers=workers, label="reading logs"):
        log = outcome.item[0].stem
        if outcome.result is None:
            unreadable[log] = str(outcome.error)
        else:
            found[log] = outcome.result
    return {log: found[log] for log in paths if log in found}, dict(sorted(unreadable.items()))


def _windows_only(scene_filter: SceneFilter) -> SceneFilter:
    """The filter without its lists of logs and tokens."""
    return SceneFilter(
        num_history_frames=scene_filter.num_history_frames,
        num_future_frames=scene_filter.num_future_frames,
        frame_interval=scene_filter.frame_interval,
        has_route=scene_filter.has_route,
    )


def _log_tokens(item: tuple[Path, SceneFilter]) -> list[str]:
    path, scene_filter = item
    current = scene_filter.num_history_frames - 1
    return [frames[current].token for frames in windows(read_log(path).frames, scene_filter)]


def _select(found: dict[str, list[str]], wanted: frozenset[str] | None) -> dict[str, tuple[str, ...]]:
    """Wanted tokens of each log that has any; a token in two places is an error."""
    place: dict[str, str] = {}
    logs = {}
    for log, tokens in found.items():
        kept = tuple(token for token in tokens if wanted is None or token in wanted)
        for token in kept:
            if token in place:
                raise DataError(f"scene {token} occurs in log {place[token]} and again in {log}")
            place[token] = log
        if kept:
            logs[log] = kept
    return logs


def _limit(logs: dict[str, tuple[str, ...]], most: int | None) -> dict[str, tuple[str, ...]]:
    if most is None:
        return logs
    limited = {}
    for log, tokens in logs.items():
        if most <= 0:
            break
        limited[log] = tokens[:most]
        most -= len(limited[log])
    return limited


def _describe_missing(split: Split) -> str:
    parts = []
    synthetic = set(split.filter.synthetic_tokens)
    tokens = [token for token in split.missing if token not in synthetic]
    if tokens:
        declared = split.filter.declared_scenes
        parts.append(f"{len(tokens)} of its {declared} scenes are not on disk: {_some(tokens)}")
    if split.missing_logs:
        declared = split.filter.declared_logs or len(split.missing_logs) + len(split.logs)
        logs = [log if why == "not found" else f"{log} ({why})" for log, why in split.missing_logs.items()]
        parts.append(f"{len(logs)} of its {declared} logs are not on disk or cannot be read: {_some(logs)}")
    if tokens and split.logs:
        counts = [f"{log} {len(found)}" for log, found in split.logs.items()]
        parts.append(f"scenes found per log: {_some(counts)}")
    if synthetic:
        parts.append(
            f"{len(synthetic)} second-stage (rendered) scenes are not supported yet: {_some(sorted(synthetic))}"
        )
    return f"split {split.name}: " + "; ".join(parts) if parts else ""


def _some(items: list[str]) -> str:
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(items[:_LISTED]) + more

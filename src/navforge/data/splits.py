"""Splits: exact sets of scene tokens with a hash, checked against what is on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.core.outside.files import read_bytes
from navforge.data.filters import SceneFilter, read_filter
from navforge.data.logs import read_log
from navforge.data.official_filters import OFFICIAL, where_to_get
from navforge.data.paths import DataConfig
from navforge.data.plausibility import Doubt, findings
from navforge.data.windows import Dropped, outcomes, window
from navforge.maps.schema import LOCATION_ALIASES

FOLDER_FILTER = SceneFilter(frame_interval=1)
"""What `split=FOLDER` takes of a folder's logs: every window with a route."""

UNLISTED = "not among the tokens"
BEYOND_LIMIT = "beyond max_scenes"
ELSEWHERE = "at other locations"
"""Conditions that drop a window, besides `Dropped`."""
AT = "@"
"""Between a split's name and the locations that are taken of it, which `+` joins."""

_LISTED = 20
_CONSEQUENCE = {
    Doubt.SPACING: "; poses, targets and scores take them as 0.5 s apart, as the official devkit does",
    Doubt.UNANNOTATED: "; plans for such logs (the private test set) are scored by the benchmark's server, not here",
}
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
    dropped: dict[str, int] = field(default_factory=dict, repr=False)
    """Windows of the logs, one per frame, that are not scenes, by the condition of the filter that drops them."""
    doubts: dict[Doubt, dict[str, str]] = field(default_factory=dict, repr=False)
    """Scenes by what is implausible about their frames, each with the first such frame."""

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

    def part(self, logs: dict[str, tuple[str, ...]]) -> Split:
        """The split with only these of its scenes, by log."""
        tokens = {token for scenes in logs.values() for token in scenes}
        doubts = {
            doubt: found
            for doubt, texts in self.doubts.items()
            if (found := {token: text for token, text in texts.items() if token in tokens})
        }
        folders = {log: folder for log, folder in self.folders.items() if log in logs}
        return replace(self, logs=logs, folders=folders, doubts=doubts)

    def describe_missing(self) -> str:
        """What is missing, counted, with the first few of each; empty if nothing is."""
        return _describe_missing(self)

    def describe_dropped(self) -> str:
        """Windows that are not scenes, counted by the condition that drops them; empty if there are none."""
        before, after = self.filter.num_history_frames - 1, self.filter.num_future_frames
        words = {
            Dropped.TOO_SHORT.value: f"too short ({before} frames before and {after} after the current one are needed)",
            Dropped.OFF_INTERVAL.value: f"between two starts (frame_interval={self.filter.interval})",
            Dropped.NO_ROUTE.value: "without a route (has_route)",
            UNLISTED: f"not among its {self.filter.declared_scenes} tokens",
            BEYOND_LIMIT: f"beyond max_scenes={self.filter.max_scenes}",
            ELSEWHERE: ELSEWHERE,
        }
        total = sum(self.dropped.values()) + len(self)
        parts = [f"{count:,} {words[reason]}" for reason, count in self.dropped.items()]
        return f"of {total:,} windows, one per frame: {', '.join(parts)}" if parts else ""

    def require_annotations(self) -> None:
        """Raise DataError where scenes have no annotations, which scores, caches and targets need."""
        if bare := self.doubts.get(Doubt.UNANNOTATED):
            raise DataError(self._doubt(Doubt.UNANNOTATED, bare))

    def describe_doubts(self) -> list[str]:
        """One sentence for each kind of implausible scene, with the first of them."""
        return [self._doubt(doubt, texts) for doubt, texts in self.doubts.items()]

    def _doubt(self, doubt: Doubt, texts: dict[str, str]) -> str:
        """The scenes of one kind: how many, the first of them, and what follows."""
        token, finding = next(iter(texts.items()))
        counted = f"{len(texts):,} of {len(self):,} scenes of split {self.name} have {doubt.value}"
        return f"{counted}, such as {token} ({finding}){_CONSEQUENCE.get(doubt, '')}"


def load_split(split: str, data: DataConfig, *, allow_missing: bool = False, workers: int = 0) -> Split:
    """Find a split's scenes on disk.

    Every log of the split is opened once; a listed log may lie in any folder under the log root.

    Args:
        split: name of a folder under the log root (every window of 4 + 10 frames with a route), path of a
            scene-filter YAML file, or name of one in `DataConfig.filter_folders`. A folder comes before a filter of
            the same name. `SPLIT@LOCATION+LOCATION` takes the logs of these maps only.
        data: where the logs are.
        allow_missing: return a split that names what is missing in `missing` and `missing_logs` instead of refusing.
        workers: processes that open logs; 0: one per CPU where the logs are large.

    Raises:
        DataError: no such folder or file, no scene at all, a token in two places, or scenes missing on disk.
    """
    root = data.log_root()
    split, locations = _locations(split)
    filter_path = _filter_path(split, root, data)
    if filter_path is not None:
        name, scene_filter = filter_path.stem, read_filter(filter_path)
        paths, missing_logs = _find_logs(root, scene_filter.log_names)
    else:
        name, scene_filter = split, FOLDER_FILTER
        paths, missing_logs = _folder_logs(root, split), {}
    scans, unreadable = _scan(paths, scene_filter, workers)
    missing_logs |= unreadable
    listed = None if scene_filter.tokens is None else frozenset(scene_filter.tokens)
    logs = _select(scans, listed)
    present = {token for tokens in logs.values() for token in tokens}
    absent = sorted((listed or frozenset()) - present) + list(scene_filter.synthetic_tokens)
    logs = _limit(logs, scene_filter.max_scenes)
    result = Split(
        name=name,
        filter=scene_filter,
        logs=logs,
        folders={log: paths[log].parent.name for log in logs},
        missing=tuple(absent),
        missing_logs=missing_logs,
        dropped=_count_dropped(scans, logs, listed),
        doubts=_doubts(scans, logs),
    )
    if not result.complete and not allow_missing:
        reasons = _why_missing(result.missing, scans)
        raise DataError(
            f"{result.describe_missing()}{reasons}; allow_missing=true continues without them, and results say so"
        )
    if not result.logs:
        reasons = result.describe_dropped() or "no log could be read"
        unnamed = sum(1 for _ in root.glob("*/*.pkl")) - len(paths) if scene_filter.log_names is not None else 0
        raise DataError(
            f"split {name}: no scene under {root} passes its filter: {reasons}"
            + (f"; {unnamed} logs are not among its log_names" if unnamed > 0 else "")
            + (f"; {missing}" if (missing := result.describe_missing()) else "")
        )
    return _at(result, scans, locations) if locations else result


def _locations(split: str) -> tuple[str, tuple[str, ...]]:
    """The split without its locations, and these."""
    name, at, places = split.rpartition(AT)
    if not at or "/" in places or places.endswith((".yaml", ".yml")):
        return split, ()
    return name, tuple(LOCATION_ALIASES.get(place, place) for place in places.split("+"))


def _at(split: Split, scans: dict[str, _LogScan], locations: tuple[str, ...]) -> Split:
    """The logs of a split that were driven at some locations."""
    present = Counter(scans[log].location for log in split.logs)
    if strangers := [place for place in locations if place not in present]:
        raise DataError(
            f"split {split.name}: no log at {', '.join(strangers)}; its {len(split.logs)} logs are at "
            + ", ".join(f"{place} ({count})" for place, count in sorted(present.items()))
        )
    logs = {log: tokens for log, tokens in split.logs.items() if scans[log].location in locations}
    found = split.part(logs)
    elsewhere = {ELSEWHERE: count} if (count := len(split) - len(found)) else {}
    return replace(found, name=f"{split.name}{AT}{'+'.join(locations)}", dropped={**split.dropped, **elsewhere})


def _filter_path(split: str, root: Path, data: DataConfig) -> Path | None:
    """File of the scene filter that is meant; None where a folder of logs is."""
    given = Path(split).expanduser()
    if given.suffix in (".yaml", ".yml"):
        if given.exists() or given.name != split:
            return given
        name = given.stem
    elif not split or given.name != split or (root / split).is_dir():
        return None
    else:
        name = split
    paths = data.scene_filters(name)
    if not paths:
        raise DataError(_unknown_split(split, name, root, data))
    others = [path for path in paths[1:] if read_bytes(path, "scene filter") != read_bytes(paths[0], "scene filter")]
    if others:
        raise DataError(f"split {split!r}: {paths[0]} and {others[0]} differ; give the path of the one that is meant")
    return paths[0]


def _unknown_split(split: str, name: str, root: Path, data: DataConfig) -> str:
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    searched = ", ".join(str(folder.absolute()) for folder in data.filter_folders())
    if split == name:
        nothing = (
            f"no folder of that name under {root} (there: {_some(folders) or 'none'}) and no scene filter {name}.yaml"
        )
    else:
        nothing = "no such file"
    if name in OFFICIAL:
        remedy = f"the official file is {where_to_get(name)}"
    else:
        remedy = "give one of these folders, the path of a scene-filter .yaml, or data.splits=FOLDER of such files"
    return f"split {split!r}: {nothing} in {searched}; {remedy}"


def _folder_logs(root: Path, folder: str) -> dict[str, Path]:
    if not folder or Path(folder).name != folder:
        raise DataError(
            f"split {folder!r}: expected the name of a folder under {root}, the name of a scene filter, or the path of "
            "its .yaml file"
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


@dataclass(frozen=True)
class _LogScan:
    """What one log holds."""

    tokens: tuple[str, ...]
    """Of the windows that are scenes, in time order."""
    dropped: dict[Dropped, tuple[str, ...]]
    """Tokens of the frames around which no window is a scene."""
    doubts: dict[Doubt, dict[str, str]]
    """Implausible scenes and the first finding of each."""
    location: str
    """Name of the map; empty where the log does not say."""


def _scan(
    paths: dict[str, Path], scene_filter: SceneFilter, workers: int
) -> tuple[dict[str, _LogScan], dict[str, str]]:
    """Windows of every log, logs in order of name; and logs that cannot be read, with the reason."""
    bare = _windows_only(scene_filter)
    if not workers and sum(path.stat().st_size for path in paths.values() if path.is_file()) < _SERIAL_BYTES:
        workers = 1
    scans: dict[str, _LogScan] = {}
    unreadable: dict[str, str] = {}
    items = [(path, bare) for path in paths.values()]
    for outcome in parallel.run(_scan_log, items, workers=workers, label="reading logs"):
        log = outcome.item[0].stem
        if outcome.result is None:
            unreadable[log] = str(outcome.error)
        else:
            scans[log] = outcome.result
    return {log: scans[log] for log in paths if log in scans}, dict(sorted(unreadable.items()))


def _scan_log(item: tuple[Path, SceneFilter]) -> _LogScan:
    path, scene_filter = item
    frames = read_log(path).frames
    implausible = findings(frames)
    tokens: list[str] = []
    dropped: dict[Dropped, list[str]] = {}
    doubts: dict[Doubt, dict[str, str]] = {}
    for frame, reason in zip(frames, outcomes(frames, scene_filter), strict=True):
        if reason is not None:
            dropped.setdefault(reason, []).append(frame.token)
            continue
        tokens.append(frame.token)
        span = window(frame.index, scene_filter)
        for finding in implausible:
            if finding.within(span):
                doubts.setdefault(finding.doubt, {}).setdefault(frame.token, f"log {path.stem}: {finding.text}")
    location = frames[0].map_location if frames and "map_location" in frames[0].raw else ""
    return _LogScan(tuple(tokens), {reason: tuple(names) for reason, names in dropped.items()}, doubts, location)


def _windows_only(scene_filter: SceneFilter) -> SceneFilter:
    """The filter without its lists of logs and tokens."""
    return SceneFilter(
        num_history_frames=scene_filter.num_history_frames,
        num_future_frames=scene_filter.num_future_frames,
        frame_interval=scene_filter.frame_interval,
        has_route=scene_filter.has_route,
    )


def _select(scans: dict[str, _LogScan], listed: frozenset[str] | None) -> dict[str, tuple[str, ...]]:
    """Listed tokens of each log that has any; a token in two places is an error."""
    place: dict[str, str] = {}
    logs = {}
    for log, scan in scans.items():
        tokens = tuple(token for token in scan.tokens if listed is None or token in listed)
        for token in tokens:
            if token in place:
                raise DataError(f"scene {token} occurs in log {place[token]} and again in {log}")
            place[token] = log
        if tokens:
            logs[log] = tokens
    return logs


def _count_dropped(
    scans: dict[str, _LogScan], logs: dict[str, tuple[str, ...]], listed: frozenset[str] | None
) -> dict[str, int]:
    counts = {reason.value: sum(len(scan.dropped.get(reason, ())) for scan in scans.values()) for reason in Dropped}
    if listed is not None:
        counts[UNLISTED] = sum(token not in listed for scan in scans.values() for token in scan.tokens)
    counts[BEYOND_LIMIT] = sum(
        token not in logs.get(log, ()) and (listed is None or token in listed)
        for log, scan in scans.items()
        for token in scan.tokens
    )
    return {reason: count for reason, count in counts.items() if count}


def _doubts(scans: dict[str, _LogScan], logs: dict[str, tuple[str, ...]]) -> dict[Doubt, dict[str, str]]:
    """Implausible scenes of the split, by kind."""
    doubts: dict[Doubt, dict[str, str]] = {}
    for doubt in Doubt:
        for log, tokens in logs.items():
            texts = scans[log].doubts.get(doubt, {})
            if texts:
                doubts.setdefault(doubt, {}).update({token: texts[token] for token in tokens if token in texts})
    return {doubt: texts for doubt, texts in doubts.items() if texts}


def _why_missing(missing: tuple[str, ...], scans: dict[str, _LogScan]) -> str:
    """How many of the missing scenes are frames of a log that the filter's other conditions drop."""
    counts = {
        reason: len(set(missing) & {token for scan in scans.values() for token in scan.dropped.get(reason, ())})
        for reason in Dropped
    }
    parts = [f"{count} {reason.value}" for reason, count in counts.items() if count]
    return f"; in the logs, but dropped by the filter: {', '.join(parts)}" if parts else ""


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
        parts.append(f"{len(tokens)} of its {declared} scenes are missing: {_some(tokens)}")
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

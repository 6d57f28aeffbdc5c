"""Label subsets: nested parts of a split, whole logs by default, the same for every run, seed and machine.

Units (logs, or scenes) lie in strata of location and driving command. Each has a number between 0 and 1 from the hash
of its name. Within a stratum units stand in the order of these numbers, and a unit's place is the share of the
stratum's scenes before it, its own counted by its number: so places are spread evenly over 0 to 1 in every stratum.
All units in the order of their places are one list; a fraction takes the front of it, up to the unit whose middle lies
beyond. A smaller fraction is therefore part of every larger one, and every stratum has its share in each, as nearly as
whole units allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from navforge.core import parallel
from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.data.logs import read_log
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.geometry.columns import Command

FORMAT = 1
LOG, SCENE = "log", "scene"
"""What may be taken whole."""
TOLERANCE = 0.5
"""Largest deviation from the fraction asked for, relative to it."""


class Stratum(NamedTuple):
    """What units of a stratum have in common."""

    location: str
    """Name of the map."""
    command: str
    """Driving command of the current frame, or the most frequent one of a log: left, straight, right or unknown."""


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """What checkpoints and result tables say of a label subset."""

    fraction: float
    """That was asked for."""
    by: str
    """`log` or `scene`: what was taken whole."""
    hash: str
    """Of its scenes."""
    scenes: int
    logs: int
    split: str
    """Name of the whole split."""
    split_hash: str
    split_scenes: int

    def __str__(self) -> str:
        return f"{100 * self.fraction:g} % by {self.by}, {self.hash}"


@dataclass(frozen=True, kw_only=True)
class LabelSubset:
    """Part of a split and how it came about."""

    split: Split
    """The part."""
    whole: Split
    fraction: float
    by: str
    strata: dict[str, Stratum]
    """Of every scene of the whole split."""

    @property
    def facts(self) -> LabelFacts:
        """What checkpoints and result tables say of it."""
        return LabelFacts(
            fraction=self.fraction,
            by=self.by,
            hash=self.split.hash,
            scenes=len(self.split),
            logs=len(self.split.logs),
            split=self.whole.name,
            split_hash=self.whole.hash,
            split_scenes=len(self.whole),
        )

    def manifest(self) -> dict[str, Any]:
        """The facts, scenes per stratum here and in the whole split, and every token by log; plain values."""
        here = Counter(self.strata[token] for token in self.split.tokens)
        whole = Counter(self.strata[token] for token in self.whole.tokens)
        rows = [
            {"location": one.location, "command": one.command, "scenes": here[one], "split_scenes": count}
            for one, count in sorted(whole.items())
        ]
        tokens = {log: list(scenes) for log, scenes in self.split.logs.items()}
        return {"format": FORMAT, **asdict(self.facts), "strata": rows, "tokens": tokens}


def label_subset(split: Split, strata: Mapping[str, Stratum], fraction: float, by: str = LOG) -> LabelSubset:
    """The part of a split that a fraction of labels is.

    Args:
        split: the whole.
        strata: of every scene (`read_strata`).
        fraction: of the scenes, above 0 and up to 1.
        by: `log` or `scene`: what is taken whole.

    Raises:
        DataError: no part of whole units is near the fraction, or a scene has no stratum.
    """
    absent = [token for token in split.tokens if token not in strata]
    if absent:
        raise DataError(f"split {split.name}: {len(absent)} scenes have no stratum, {absent[0]} for one")
    if by == LOG:
        sizes = {log: len(tokens) for log, tokens in split.logs.items()}
        groups = {log: _of_log([strata[token] for token in tokens]) for log, tokens in split.logs.items()}
        units = set(front(nested_order(sizes, groups), sizes, fraction))
        logs = {log: tokens for log, tokens in split.logs.items() if log in units}
    else:
        sizes = dict.fromkeys(split.tokens, 1)
        units = set(front(nested_order(sizes, strata), sizes, fraction))
        logs = {log: tuple(token for token in tokens if token in units) for log, tokens in split.logs.items()}
    logs = {log: tokens for log, tokens in logs.items() if tokens}
    share = sum(map(len, logs.values())) / len(split)
    if abs(share - fraction) > TOLERANCE * fraction:
        raise DataError(
            f"labels.fraction={fraction:g}: the nearest part of split {split.name} in whole {by}s "
            f"({len(sizes)} there) is {share:.3g} of its scenes; give a larger fraction"
            + (", or labels.by=scene" if by == LOG else "")
        )
    return LabelSubset(split=split.part(logs), whole=split, fraction=fraction, by=by, strata=dict(strata))


def nested_order(sizes: Mapping[str, int], strata: Mapping[str, Hashable]) -> list[str]:
    """Names of units such that every front of the list has its share of every stratum.

    Args:
        sizes: scenes of each unit.
        strata: stratum of each unit; those of other names are ignored.
    """
    members: dict[Hashable, list[tuple[float, str]]] = {}
    for name in sizes:
        members.setdefault(strata[name], []).append((_draw(name), name))
    places: list[tuple[float, str]] = []
    for stratum in members.values():
        total, before = sum(sizes[name] for _, name in stratum), 0
        for drawn, name in sorted(stratum):
            places.append(((before + drawn * sizes[name]) / total, name))
            before += sizes[name]
    return [name for _, name in sorted(places)]


def front(order: Sequence[str], sizes: Mapping[str, int], fraction: float) -> list[str]:
    """The first units, up to the one whose middle lies beyond a fraction of all scenes; one at least."""
    target, before, taken = fraction * sum(sizes.values()), 0, []
    for name in order:
        if taken and before + sizes[name] / 2 > target:
            break
        taken.append(name)
        before += sizes[name]
    return taken


def read_strata(split: Split, data: DataConfig, *, workers: int = 0) -> dict[str, Stratum]:
    """Stratum of every scene, from the logs.

    Raises:
        DataError: a log cannot be read, or has no location or driving command.
    """
    items = [(split.log_path(data, log), tokens) for log, tokens in split.logs.items()]
    found: dict[str, Stratum] = {}
    for outcome in parallel.run(_read_log_strata, items, workers=workers, label="reading strata"):
        if outcome.result is None:
            raise DataError(f"{outcome.item[0]}: {outcome.error}")
        found |= outcome.result
    return found


def _read_log_strata(item: tuple[Path, tuple[str, ...]]) -> dict[str, Stratum]:
    path, tokens = item
    wanted = set(tokens)
    return {
        frame.token: Stratum(frame.map_location, Command(int(frame.driving_command.argmax())).name.lower())
        for frame in read_log(path).frames
        if frame.token in wanted
    }


def _of_log(scenes: Sequence[Stratum]) -> Stratum:
    """Stratum of a log: its location with its most frequent command; among equally frequent ones the first by name."""
    counts = Counter(scenes)
    return min(counts, key=lambda one: (-counts[one], one))


def _draw(name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int(fingerprint("label subset", name), 16) / 2**64

"""The commands that make a run and its scores again: code, what it reads, training, evaluation."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from navforge.record.evaluations import RecordedEvaluation
from navforge.record.provenance import NOT_RECORDED, SUFFIX, Origin, read_origin
from navforge.record.runs import READ, RecordedRun

_LOGS = "data.logs"
_ABOVE = 2
"""A product may name a folder inside another one, so many levels up."""
_REPORTS = ("study", "report", "record", "compare")
"""Provenance of what is made from runs, not for them."""


@dataclass(frozen=True)
class Step:
    """One thing to do."""

    title: str
    command: str | None
    """For a shell; None where it is not recorded."""
    note: str = ""
    """Why not, or what else is to be known."""
    directory: str | None = None
    """Where the command ran, as far as it matters and is recorded."""


def steps(run: RecordedRun, evaluations: Sequence[RecordedEvaluation]) -> tuple[Step, ...]:
    """What to do, in order, to have the run and its scores again, from what is recorded."""
    seen: set[Path] = set()
    made = [*_products(run.origin, seen)]
    for one in evaluations:
        made += _products(one.origin, seen)
    scored = (_step("evaluate", one.origin) for one in evaluations)
    return (*_code(run), *made, _step("train", run.origin), *scored)


def _step(title: str, origin: Origin) -> Step:
    return Step(title, origin.command, directory=origin.directory)


def _code(run: RecordedRun) -> Iterator[Step]:
    version = run.origin.facts.get("navforge")
    commit = run.git.get("commit")
    title = f"navforge {version or f'(version {NOT_RECORDED})'}"
    if commit is None:
        yield Step(title, None, f"commit {NOT_RECORDED}: {run.git.get('reason') or 'no provenance'}")
        return
    yield Step(title, f"git checkout {commit}")
    if run.git.get("dirty"):
        changes = run.folder.code / "changes.diff"
        there = changes.is_file()
        yield Step(
            "changes that were not committed",
            f"git apply {shlex.quote(str(changes))}" if there else None,
            "" if there else NOT_RECORDED,
        )


def _products(reader: Origin, seen: set[Path]) -> Iterator[Step]:
    """What a run or an evaluation reads, each product after those that it was made from."""
    for key in (_LOGS, *READ):
        places = reader.places(key)
        if not places:
            continue
        maker = next((found for place in places if (found := _maker(place)) is not None), None)
        if maker is None:
            if key != _LOGS and "/" in str(reader.keys[key]):  # logs are downloaded, networks may be names of a hub
                yield Step(key, None, f"{NOT_RECORDED}: {reader.keys[key]}")
            continue
        if maker.folder in seen:
            continue
        seen.add(maker.folder)
        yield from _products(maker, seen)
        yield _step(f"what {key} names", maker)


def _maker(place: Path) -> Origin | None:
    """How a product was made that a key names; None where nothing of it is here."""
    own = f"{place.stem}{SUFFIX}"
    if place.suffix == ".npy" and (place.parent / own).is_file():
        return read_origin(place.parent, f"{place.stem}.config.yaml", own)
    for folder in (place, *place.parents[:_ABOVE]):
        names = sorted(path.name for path in folder.glob(f"*{SUFFIX}"))
        names = [name for name in names if name.removesuffix(SUFFIX) not in _REPORTS]
        if names:  # of a run: launch before train, which the ranks write
            config = "train.config.yaml" if names[0].startswith("launch") else names[0].replace(SUFFIX, ".config.yaml")
            return read_origin(folder, config, names[0])
    return None

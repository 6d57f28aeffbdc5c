"""A card for each run of the record: what it is in full, and how to repeat it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from navforge.core.provenance import describe_git
from navforge.record.provenance import NOT_RECORDED
from navforge.record.record import Record
from navforge.record.repeat import Step, steps
from navforge.record.runs import READ, RecordedRun
from navforge.reports.comparison_tables import NONE
from navforge.reports.record_tables import POINTS, cost, trained


@dataclass(frozen=True)
class Card:
    """One run in full, and how to repeat it."""

    title: str
    facts: tuple[tuple[str, str], ...]
    """What is said, and of what."""
    steps: tuple[Step, ...]

    @property
    def script(self) -> str:
        """The steps as lines for a shell; what is not recorded is a remark."""
        lines, here = [], None
        for step in self.steps:
            note = step.note or ("" if step.command else NOT_RECORDED)
            lines.append(f"# {step.title}" + (f" ({note})" if note else ""))
            if step.command and step.directory not in (None, here):
                here = step.directory
                lines.append(shlex.join(["cd", str(here)]))
            lines += [step.command] if step.command else []
        return "\n".join(lines)


def cards(record: Record) -> tuple[Card, ...]:
    """One for each run."""
    return tuple(_card(run, record) for run in record.runs)


def _card(run: RecordedRun, record: Record) -> Card:
    evaluations = record.evaluations_of(run)
    title = f"{run.name} ({run.identifier})" if run.identifier else run.name
    return Card(title, tuple(facts_of(run, record)), steps(run, evaluations) if run.identifier else ())


FACTS = (
    *("created", "planner", "encoder", "head", "trains for", "optimiser", "ranks", "precision", "seed", "data"),
    *("labels", "validation", "reads", "code", "libraries", "hardware", "weights"),
)
"""Facts of a card, in their order."""


def facts_of(run: RecordedRun, record: Record) -> Iterator[tuple[str, str]]:
    """What a card says of a run; what is not in its files is called that."""
    state = f"{run.state}; {run.note}" if run.note else run.state
    yield "state", state
    if not run.identifier:
        return
    differs = record.differences[run.name]
    if differs:
        yield "differs from its siblings in", ", ".join(f"{name}={value}" for name, value in differs.items())
    words = (
        _created(run),
        run.origin.keys.get("agent") or run.origin.keys.get("method") or NOT_RECORDED,
        _part(run, "planner.encoder" if "planner.name" in run.origin.keys else "encoder"),
        _part(run, "planner.head"),
        _length(run),
        _optimiser(run),
        _ranks(run),
        _key(run, "train.precision"),
        _key(run, "train.seed"),
        _data(run),
        _labels(run),
        _validation(run),
        _reads(run),
        _code(run),
        _libraries(run),
        _hardware(run),
        _weights(run, record),
    )
    yield from zip(FACTS, words, strict=True)
    yield "cost", cost(run)
    for one in record.evaluations_of(run):
        for score in one.scores:
            assert one.meta is not None, "of one that has scores"
            ends = "" if score.interval.low is None else _span(score.interval.low, score.interval.high)
            where = f"{one.meta.split} ({one.meta.split_hash}, {score.interval.scenes} scenes)"
            yield f"{score.protocol} on {where}", f"{POINTS * score.interval.mean:.1f}{ends}"
    if run.diagnosis is not None:
        yield "diagnosis", f"{run.diagnosis.cause}: {run.diagnosis.summary}"
    for problem in run.unreadable:
        yield "unreadable", problem


def _span(low: float, high: float | None) -> str:
    return "" if high is None else f" ({POINTS * low:.1f} to {POINTS * high:.1f})"


def _key(run: RecordedRun, name: str) -> str:
    return run.origin.keys.get(name, NOT_RECORDED)


def _created(run: RecordedRun) -> str:
    return NOT_RECORDED if run.view is None else run.view.record.created


def _part(run: RecordedRun, prefix: str) -> str:
    """Kind of an encoder or a head, and its other keys."""
    keys = {
        name.removeprefix(f"{prefix}."): value
        for name, value in run.origin.keys.items()
        if name.startswith(f"{prefix}.")
    }
    kind = keys.pop("kind", None)
    rest = ", ".join(f"{name} {value}" for name, value in keys.items() if value not in ("null", "[]", ""))
    return "; ".join(part for part in (kind, rest) if part) or NOT_RECORDED


def _length(run: RecordedRun) -> str:
    done = trained(run)
    updates = run.origin.keys.get("train.updates", "null")
    asked = f"{_key(run, 'train.epochs')} epochs" + ("" if updates == "null" else f" of {updates} updates in all")
    return f"{asked}; done: {'nothing yet' if done == NONE else done}"


def _reads(run: RecordedRun) -> str:
    """What was read, by fingerprint where that is recorded, else by place."""
    marks = run.fingerprints
    if "planner.encoder.fingerprint" in run.origin.keys:
        marks["planner.encoder.weights"] = run.origin.keys["planner.encoder.fingerprint"]
    named = {name: run.origin.keys[name] for name in READ if run.origin.keys.get(name, "null") != "null"}
    return ", ".join(f"{name} {marks.get(name) or place}" for name, place in named.items()) or "nothing but the split"


def _optimiser(run: RecordedRun) -> str:
    names = ("learning_rate", "schedule", "warmup", "weight_decay", "clip_gradient", "layer_decay", "encoder_factor")
    found = [f"{name} {run.origin.keys[key]}" for name in names if (key := f"train.{name}") in run.origin.keys]
    return ", ".join(found) or NOT_RECORDED


def _ranks(run: RecordedRun) -> str:
    if run.view is None:
        return NOT_RECORDED
    record, size = run.view.record, run.origin.keys.get("train.batch_size", "")
    rounds = run.origin.keys.get("train.accumulate", "1")
    where = f" on {record.cluster}" if record.cluster else ""
    shape = f"{record.world_size} ({record.nodes} x {record.devices}, {record.launch}{where})"
    if not (size.isdigit() and rounds.isdigit()):
        return shape
    return f"{shape}; {size} scenes each, {int(size) * int(rounds) * record.world_size} a step"


def _data(run: RecordedRun) -> str:
    split, scenes = _key(run, "split"), run.facts.get("scenes")
    mark = run.fingerprints.get("split")
    found = f"{scenes:,} scenes" if isinstance(scenes, int) else f"scenes {NOT_RECORDED}"
    return f"split {split} ({mark or f'hash {NOT_RECORDED}'}), {found}"


def _labels(run: RecordedRun) -> str:
    fraction = run.origin.keys.get("labels.fraction")
    if fraction is None:
        return NOT_RECORDED
    if float(fraction) == 1:
        return "100 % of the split"
    facts = run.facts.get("labels")
    mark = ""
    if isinstance(facts, dict) and {"hash", "scenes", "split_scenes"} <= facts.keys():
        mark = f", subset {facts['hash']}, {facts['scenes']} of {facts['split_scenes']} scenes"
    return f"{100 * float(fraction):g} % of the split, by {_key(run, 'labels.by')}{mark}"


def _validation(run: RecordedRun) -> str:
    split = _key(run, "val_split")
    return "none" if split == "null" else split


def _code(run: RecordedRun) -> str:
    version = run.origin.facts.get("navforge", NOT_RECORDED)
    return f"navforge {version}, commit {describe_git(run.git) if run.git else NOT_RECORDED}"


def _libraries(run: RecordedRun) -> str:
    libraries = run.origin.facts.get("libraries")
    if not isinstance(libraries, dict):
        return NOT_RECORDED
    python = run.origin.facts.get("python", NOT_RECORDED)
    return ", ".join([f"python {python}", *(f"{name} {version}" for name, version in libraries.items())])


def _weights(run: RecordedRun, record: Record) -> str:
    """Of the best checkpoint by fingerprint; where that is not here, of those that were evaluated."""
    if run.weights is not None:
        return f"best.ckpt {run.weights}"
    scored = {one.meta.checkpoint for one in record.evaluations_of(run) if one.meta is not None and one.meta.checkpoint}
    return f"evaluated {', '.join(sorted(scored))}" if scored else NOT_RECORDED


def _hardware(run: RecordedRun) -> str:
    attempts = () if run.view is None else run.view.attempts
    kinds = dict.fromkeys(
        f"{one.world_size} x {one.device or f'device {NOT_RECORDED}'}, nodes: {one.nodes or NOT_RECORDED}"
        for one in attempts
    )
    starts = f", {len(attempts)} starts" if len(attempts) > 1 else ""
    return (", ".join(kinds) + starts) if attempts else NOT_RECORDED

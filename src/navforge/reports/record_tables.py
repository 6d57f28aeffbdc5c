"""The record of experiments as tables: runs folder by folder, their scores, why some ended early."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from navforge.core.durations import write_duration
from navforge.jobs.diagnosis import CAUSES, HARMLESS
from navforge.record.evaluations import DONE, RecordedEvaluation
from navforge.record.provenance import NOT_RECORDED
from navforge.record.record import Record, by_folder
from navforge.record.runs import DAMAGED, RecordedRun
from navforge.reports.comparison_tables import NONE
from navforge.reports.sections import Section
from navforge.scoring.traffic import LOG_REPLAY

SHOWN_KEYS, SHOWN_WIDTH = 6, 32
"""Keys in which a run differs, and characters of a value, that a table has; its card and the CSV file have all."""
POINTS = 100.0


def record_sections(record: Record) -> tuple[Section, ...]:
    """The tables that have rows."""
    groups = [_runs(record, folder, runs) for folder, runs in by_folder(record.runs).items()]
    scored = [one for one in record.evaluations if one.state == DONE]
    others = [one for one in record.evaluations if one.state != DONE]
    found = (
        *groups,
        _scores("Scores of these runs, points", [one for one in scored if one.run is not None], record),
        _scores("Scores of others, points", [one for one in scored if one.run is None], record),
        _ends(record),
        _without_score(others),
    )
    return tuple(section for section in found if section.rows)


def _runs(record: Record, folder: Path, runs: Sequence[RecordedRun]) -> Section:
    rows = tuple(
        (
            run.identifier or NONE,
            run.folder.path.name,
            run.origin.keys.get("agent") or run.origin.keys.get("method") or NOT_RECORDED,
            _differs(record, run),
            run.state,
            trained(run),
            cost(run),
        )
        for run in runs
    )
    heads = ("identifier", "run", "planner", "differs in", "state", "trained", "cost")
    note = "Differs in: keys whose value most runs of the folder do not share" if len(runs) > 1 else "One run"
    return Section(_title(folder, record.root), note, heads, rows, words=len(heads))


def _title(folder: Path, root: Path) -> str:
    if folder in (root, root.parent):
        return "Runs"
    return f"Runs in {folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder}/"


def _differs(record: Record, run: RecordedRun) -> str:
    differs = record.differences[run.name].items()
    words = [f"{name}={value}" if len(value) <= SHOWN_WIDTH else name for name, value in differs]
    more = f" and {len(words) - SHOWN_KEYS} more" if len(words) > SHOWN_KEYS else ""
    return (", ".join(words[:SHOWN_KEYS]) + more) or NONE


def trained(run: RecordedRun) -> str:
    """How long it learned, in words; of one that has not finished: how far it is."""
    if run.state == "finished":
        training = None if run.view is None else run.view.training
        samples = "" if training is None else f", {training.samples:,} samples"
        lengths = (_count(run.finished.get(name), unit) for name, unit in (("epochs", "epochs"), ("steps", "updates")))
        return ", ".join(lengths) + samples
    lead = None if run.view is None else run.view.lead
    if lead is None or not lead.total_steps:
        return NONE
    return f"update {lead.step:,} of {lead.total_steps:,}"


def _count(number: object, unit: str) -> str:
    return f"{number:,} {unit}" if isinstance(number, int) else f"{unit} {NOT_RECORDED}"


def cost(run: RecordedRun) -> str:
    """What its training took, in words."""
    training = None if run.view is None else run.view.training
    if training is None:
        return NOT_RECORDED if run.state == "finished" else NONE
    gpus = f", {training.gpu_hours:.3g} GPU hours" if training.gpu_hours else ""
    return write_duration(training.seconds) + gpus


def _scores(title: str, evaluations: Sequence[RecordedEvaluation], record: Record) -> Section:
    runs = {run.name: run for run in record.runs}
    rows = []
    for one in evaluations:
        assert one.meta is not None, "of one that is done"
        run = runs.get(one.run or "")
        who = (one.identifier, one.name.rpartition("/")[2], NONE if run is None else run.identifier or run.name)
        for score in one.scores:
            found, meta = score.interval, one.meta
            rules = [score.protocol, *([meta.traffic] if meta.traffic != LOG_REPLAY else [])]
            rules += ["human filter"] if score.human_filter else []
            lacks = f", {meta.missing} missing" if meta.missing else ""
            ends = (found.low, found.high)
            span = NONE if None in ends else " .. ".join(f"{POINTS * end:.1f}" for end in ends if end is not None)
            rows.append(
                (
                    *who,
                    one.agent or NOT_RECORDED,
                    f"{meta.split} ({meta.split_hash})",
                    ", ".join(rules),
                    meta.checkpoint or NONE,
                    one.note or NONE,
                    f"{POINTS * found.mean:.1f}",
                    span,
                    f"{found.scenes:,}{lacks}",
                    str(found.clusters),
                )
            )
    heads = ("identifier", "evaluation", "run", "planner", "split (scenes)", "protocol", "weights", "note")
    numbers = ("score", "95 %", "scenes", "logs")
    keep = [place for place, head in enumerate(heads) if head != "note" or any(row[place] != NONE for row in rows)]
    keep += range(len(heads), len(heads) + len(numbers))
    shown = tuple(tuple(row[place] for place in keep) for row in rows)
    all_heads = (*heads, *numbers)
    note = "Intervals over logs, of one run: they do not hold what another seed would change"
    return Section(title, note, tuple(all_heads[place] for place in keep), shown, words=len(keep) - len(numbers))


def _ends(record: Record) -> Section:
    """Runs that do not go on and have not finished: the cause, the line that shows it, who asked for it."""
    rows = []
    for run in record.runs:
        cause = run.diagnosis
        if run.state != DAMAGED and (cause is None or cause.cause in HARMLESS):
            continue
        shows = str(cause.evidence[0]) if cause is not None and cause.evidence else NONE
        why = f"{cause.cause}: {CAUSES[cause.cause]}" if cause is not None else run.note
        remedy = cause.remedy[0] if cause is not None and cause.remedy else NONE
        rows.append((run.identifier or NONE, run.folder.path.name, run.state, why, shows[:200], _asked(run), remedy))
    heads = ("identifier", "run", "state", "diagnosis", "shown by", "asked by", "remedy")
    note = "Diagnoses are those of navforge diagnose"
    return Section("Runs that have not finished", note, heads, tuple(rows), words=len(heads))


def _asked(run: RecordedRun) -> str:
    requests = () if run.view is None else run.view.requests
    return ", ".join(f"{one.action} by {one.by}, {_date(one.time)}" for one in requests) or NONE


def _date(time: float) -> str:
    return datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _without_score(evaluations: Sequence[RecordedEvaluation]) -> Section:
    rows = tuple(
        (one.identifier, one.name, one.run or NONE, one.agent or NOT_RECORDED, one.state, one.note)
        for one in evaluations
    )
    heads = ("identifier", "evaluation", "run", "planner", "state", "")
    return Section("Evaluations without a score", "", heads, rows, words=len(heads))

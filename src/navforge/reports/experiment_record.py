"""The record of experiments as files: tables and cards in Markdown, runs and scores in CSV."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from navforge.core.files import write_text
from navforge.record.provenance import NOT_RECORDED
from navforge.record.record import Record
from navforge.reports.record_cards import FACTS, Card, cards, facts_of
from navforge.reports.record_tables import POINTS, record_sections
from navforge.reports.sections import to_markdown

MARKDOWN, RUNS, SCORES = "record.md", "runs.csv", "scores.csv"


def write_record(record: Record, out: Path) -> None:
    """Write `record.md`, `runs.csv` and `scores.csv` into a folder."""
    write_text(out / MARKDOWN, record_markdown(record))
    write_text(out / RUNS, runs_frame(record).write_csv())
    write_text(out / SCORES, scores_frame(record).write_csv())


def record_markdown(record: Record) -> str:
    """Tables, then the cards."""
    runs, evaluations = len(record.runs), len(record.evaluations)
    head = f"# Record\n\nRuns: {runs}; evaluations: {evaluations}. What no file tells is called {NOT_RECORDED}.\n"
    notes = [f"Note: {note}.\n" for note in record.notes]
    return "\n".join([head, *notes, to_markdown(record_sections(record)), *map(_card_markdown, cards(record))])


def _card_markdown(card: Card) -> str:
    facts = [f"- {name}: {words}" for name, words in card.facts]
    script = [f"    {line}" for line in card.script.splitlines()]
    return "\n".join([f"## {card.title}", "", *facts, "", "How to repeat this:", "", *script, ""])


def runs_frame(record: Record) -> pl.DataFrame:
    """One row per run, all text but counts, hours and GPU hours; null where it is not recorded."""
    rows = []
    for run in record.runs:
        training = None if run.view is None else run.view.training
        facts = dict(facts_of(run, record))
        differs = record.differences[run.name]
        rows.append(
            {
                "identifier": run.identifier or None,
                "run": run.name,
                "agent": run.origin.keys.get("agent"),
                "differs": " ".join(f"{name}={value}" for name, value in differs.items()),
                "state": run.state,
                "note": run.note or None,
                **{name: _null(facts.get(name)) for name in FACTS},
                "updates": run.finished.get("steps"),
                "samples": None if training is None else training.samples,
                "hours": None if training is None else training.seconds / 3600,
                "gpu_hours": None if training is None else training.gpu_hours,
                "cause": None if run.diagnosis is None else run.diagnosis.cause,
                "command": run.origin.command,
            }
        )
    numbers = {"updates": pl.Int64, "samples": pl.Int64, "hours": pl.Float64, "gpu_hours": pl.Float64}
    words = ("identifier", "run", "agent", "differs", "state", "note", *FACTS)
    schema = {**dict.fromkeys(words, pl.String), **numbers, "cause": pl.String, "command": pl.String}
    return pl.DataFrame(rows, schema=schema)


def scores_frame(record: Record) -> pl.DataFrame:
    """One row per evaluation and protocol, scores in points; one row without protocol where there is no score."""
    identifiers = {run.name: run.identifier for run in record.runs}
    rows = []
    for one in record.evaluations:
        meta = one.meta
        about = {
            "identifier": one.identifier,
            "evaluation": one.name,
            "run": one.run,
            "run_identifier": identifiers.get(one.run or ""),
            "agent": one.agent,
            "state": one.state,
            "note": one.note or None,
            "checkpoint": None if meta is None else meta.checkpoint,
            "split": None if meta is None else meta.split,
            "split_hash": None if meta is None else meta.split_hash,
            "missing": None if meta is None else meta.missing,
            "traffic": None if meta is None else meta.traffic,
        }
        numbers = [
            {
                "protocol": score.protocol,
                "human_filter": score.human_filter,
                "score": POINTS * score.interval.mean,
                "low": _points(score.interval.low),
                "high": _points(score.interval.high),
                "scenes": score.interval.scenes,
                "logs": score.interval.clusters,
            }
            for score in one.scores
        ]
        rows += [about | more for more in numbers or [{}]]
    words = ("identifier", "evaluation", "run", "run_identifier", "agent", "state", "note", "checkpoint", "split")
    schema = {
        **dict.fromkeys((*words, "split_hash"), pl.String),
        **{"missing": pl.Int64, "traffic": pl.String, "protocol": pl.String, "human_filter": pl.Boolean},
        **dict.fromkeys(("score", "low", "high"), pl.Float64),
        **dict.fromkeys(("scenes", "logs"), pl.Int64),
    }
    return pl.DataFrame(rows, schema=schema)


def _null(words: str | None) -> str | None:
    return None if words in (None, NOT_RECORDED) else words


def _points(value: float | None) -> float | None:
    return None if value is None else POINTS * value

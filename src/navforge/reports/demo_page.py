"""The demo's page, from what its stages left on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from navforge.core import provenance
from navforge.core.config import key
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.evaluation import tables, trajectories
from navforge.evaluation.folder import PLANS, SCORES
from navforge.evaluation.score import open_cache
from navforge.evaluation.tables import ScoreTable
from navforge.reports.figures.curves import learning_curves
from navforge.reports.gallery import Evaluated, gallery
from navforge.reports.page import AgentScores, Comparison, Curves, ReportData, write_report
from navforge.training.loop.curves import FILE as CURVES
from navforge.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the page is made from."""

    out: Path = key(help="page to write")
    folder: Path = key(help="the demo's folder")
    labels: tuple[str, ...] = key(help="agents in the order of the tables")
    folders: tuple[str, ...] = key(help="their folders under folder/evaluation")
    planner: str = key(help="label of the planner shown")
    baseline: str = key(help="label of what it is compared with")
    blanked: str = key(help="label of the planner without its camera")
    headline: str = key(help="protocol of comparisons and pictures")
    vocabulary: Path = key(help="the planner's vocabulary")
    scenes: int = key(12, "pictures", low=0)
    data: DataConfig = key(DataConfig)


def write_demo_page(config: ReportConfig) -> None:
    """Write the page.

    Raises:
        DataError: a result is missing or does not fit the others.
    """
    results = dict(zip(config.labels, config.folders, strict=True))
    found = {label: tables.read(_evaluation(config, name) / SCORES) for label, name in results.items()}
    split = load_split("test", config.data)
    shown = Evaluated(
        label=config.planner,
        table=found[config.planner],
        trajectories=trajectories.read(_evaluation(config, results[config.planner]) / PLANS),
    )
    pictures = gallery(
        shown,
        found[config.baseline],
        split,
        config.data,
        open_cache(config.folder / "cache" / "test", split),
        protocol=config.headline,
        vocabulary=Vocabulary.load(config.vocabulary),
        count=config.scenes,
    )
    write_report(
        config.out,
        ReportData(
            title="navforge demo",
            subtitle="A planner trained and scored on the embedded world, held-out logs of a town it has not seen",
            agents=tuple(_agent(label, table, config) for label, table in found.items()),
            headline=config.headline,
            comparisons=_comparisons(config),
            curves=tuple(_curves(config, name) for name in (config.planner, config.baseline)),
            scenes=pictures,
            provenance=_provenance(config),
        ),
    )


def _evaluation(config: ReportConfig, name: str) -> Path:
    return config.folder / "evaluation" / name


def _agent(label: str, table: ScoreTable, config: ReportConfig) -> AgentScores:
    notes = {
        "human": "the logged driver; not a competitor",
        "constant_velocity": "keeps its speed, straight ahead",
        config.baseline: "sees its own speed, acceleration and command, nothing else",
        config.blanked: "the same weights, shown black images",
    }
    return AgentScores(label=label, table=table, note=notes.get(label, ""))


def _comparisons(config: ReportConfig) -> tuple[Comparison, ...]:
    return (
        Comparison(first=config.planner, second="constant_velocity", claim="beats constant velocity"),
        Comparison(first=config.planner, second=config.baseline, claim="beats a planner that does not look"),
        Comparison(first=config.planner, second=config.blanked, claim="needs its camera"),
    )


def _curves(config: ReportConfig, name: str) -> Curves:
    return Curves(title=name, svg=learning_curves(config.folder / "training" / name / CURVES))


def _provenance(config: ReportConfig) -> tuple[tuple[str, str], ...]:
    facts = provenance.collect()
    stamps = sorted((config.folder / "stages").glob("*.json"), key=lambda path: path.stat().st_mtime)
    rows = [
        ("commit", provenance.describe_git(facts["git"])),
        ("navforge", facts["navforge"]),
        ("python", facts["python"]),
        *((name, version) for name, version in facts["libraries"].items()),
        ("machine", f"{facts['machine']['platform']}, {facts['machine']['cpus']} CPUs"),
        ("date", facts["started"]),
    ]
    rows += [(f"seconds: {path.stem}", f"{json.loads(path.read_text())['seconds']:.0f}") for path in stamps]
    return tuple((name, str(value)) for name, value in rows)

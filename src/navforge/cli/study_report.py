"""`navforge study report FILE`: verdicts of the planned comparisons, of a study or of its archive."""

from __future__ import annotations

import tempfile
from pathlib import Path

from navforge.cli.keys.study_report import Config
from navforge.cli.study_files import read_graph
from navforge.core import provenance
from navforge.core.errors import DataError
from navforge.core.screen import say, screen
from navforge.record.record import read_record
from navforge.reports.sections import print_section
from navforge.reports.study_report import PAGE, TABLES, write_study_report
from navforge.studies.archive import SUFFIX, open_archive
from navforge.studies.results import StudyResults
from navforge.studies.state import results


def run(config: Config) -> None:
    """Compare, print and write."""
    if config.study.suffix != SUFFIX:
        graph = read_graph(config.study, config.out)
        report(results(graph), graph.out, config.report or graph.out / "report", config)
        return
    with tempfile.TemporaryDirectory(prefix="navforge-study-") as folder:
        out = config.report or config.out or config.study.with_suffix("")
        report(open_archive(config.study, Path(folder)), Path(folder), out, config)


def report(found: StudyResults, root: Path, out: Path, config: Config) -> None:
    """Write the page, tables and figures of a study, and print the tables."""
    say(f"{found.name}: {found.question}")
    for cell in found.cells:
        for missing in cell.missing:
            say(f"missing, and not averaged over: {missing}")
    planned = {run: f"{cell.name}, seed {seed}" for cell in found.cells for seed, run in zip(cell.seeds, cell.runs)}  # noqa: B905
    sections = write_study_report(found, read_record(root, planned), out)
    if not sections:
        raise DataError("no cell has all its seeds on any split yet; navforge study status says what is missing")
    console = screen(width=160)
    for section in sections:
        print_section(console, section)
    provenance.record(out, config, name="report")
    say(f"\n{out / PAGE}, {TABLES}.md, .tex, .csv, .parquet, figures/")

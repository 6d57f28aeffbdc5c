"""`navforge study report FILE`: verdicts of the planned comparisons, of a study or of its archive."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from navforge.cli.keys.study_report import Config
from navforge.cli.study_files import read_graph
from navforge.core import provenance
from navforge.core.errors import DataError
from navforge.core.files import write_text
from navforge.core.screen import say, screen
from navforge.evaluation.planned import Family, compare_planners, to_frame
from navforge.reports.comparison_tables import comparison_sections
from navforge.reports.sections import print_section, to_latex, to_markdown
from navforge.studies.archive import SUFFIX, open_archive
from navforge.studies.results import StudyResults
from navforge.studies.state import results

MARKDOWN, LATEX, NUMBERS = "comparison.md", "comparison.tex", "comparison.csv"


def run(config: Config) -> None:
    """Compare, print and write."""
    if config.study.suffix != SUFFIX:
        graph = read_graph(config.study, config.out)
        report(results(graph), config.report or graph.out / "report", config)
        return
    with tempfile.TemporaryDirectory(prefix="navforge-study-") as folder:
        out = config.report or config.out or config.study.with_suffix("")
        report(open_archive(config.study, Path(folder)), out, config)


def report(found: StudyResults, out: Path, config: Config) -> None:
    """Print and write the tables of a study."""
    say(f"{found.name}: {found.question}")
    for cell in found.cells:
        for missing in cell.missing:
            say(f"missing, and not averaged over: {missing}")
    every = [list(families(found, split)) for split in found.splits]
    sections = [section for some in every for section in comparison_sections(some)]
    if not sections:
        raise DataError("no cell has all its seeds on any split yet; navforge study status says what is missing")
    console = screen(width=160)
    for section in sections:
        print_section(console, section)
    write_text(out / MARKDOWN, to_markdown(sections))
    write_text(out / LATEX, to_latex(sections))
    write_text(out / NUMBERS, to_frame([one for some in every for one in some]).write_csv())
    provenance.record(out, config, name="report")
    say(f"\n{out / MARKDOWN}, {LATEX}, {NUMBERS}")


def families(found: StudyResults, split: str) -> Iterator[Family]:
    """The planned comparisons on a split, a family for each protocol."""
    planners, floors = found.planners(split), found.floor_planners(split)
    for name in planners[0].tables[0].meta.protocols if planners else ():
        yield compare_planners(planners, name, found.pairs(split), floors=floors)

"""`navforge compare a=[RUN,RUN] b=[RUN,RUN]`: paired differences of planners with seeds, and one verdict each."""

from __future__ import annotations

from pathlib import Path

from navforge.cli.keys.compare import LATEX, MARKDOWN, NUMBERS, PARQUET, Config
from navforge.core import provenance
from navforge.core.files import atomic_path, write_text
from navforge.core.screen import screen
from navforge.evaluation import tables
from navforge.evaluation.groups import Planner, shared_protocols
from navforge.evaluation.planned import compare_planners, pairs_against, to_frame
from navforge.evaluation.published import choose_published
from navforge.reports.comparison_tables import comparison_sections
from navforge.reports.sections import print_section, to_latex, to_markdown
from navforge.scoring.protocols import parse_protocols


def run(config: Config) -> None:
    """Read the tables, compare, print and write."""
    planners, floors = _planners(config.evaluations), _planners(config.floor_evaluations)
    pairs = pairs_against([planner.name for planner in planners], config.against)
    protocols = _protocols(config, [*planners, *floors])
    published = choose_published(config.methods, dict.fromkeys(protocols, planners[0].tables[0].meta))
    families = [compare_planners(planners, name, pairs, floors=floors, published=published[name]) for name in protocols]
    sections = comparison_sections(families)
    console = screen(width=160)
    for section in sections:
        print_section(console, section)
    for name in protocols if config.methods is None else ():
        if not published[name]:
            console.print(f"\npublished: no row of a paper is of {name} on these scenes", soft_wrap=True)
    if config.out is not None:
        write_text(config.out / MARKDOWN, to_markdown(sections))
        write_text(config.out / LATEX, to_latex(sections))
        frame = to_frame(families)
        write_text(config.out / NUMBERS, frame.write_csv())
        with atomic_path(config.out / PARQUET) as partial:
            frame.write_parquet(partial)
        provenance.record(config.out, config, name="compare")
        console.print(f"\n{config.out / MARKDOWN}, {LATEX}, {NUMBERS}, {PARQUET}", soft_wrap=True)


def _planners(evaluations: dict[str, tuple[Path, ...]]) -> list[Planner]:
    return [Planner(name=name, tables=tuple(map(tables.read_evaluation, paths))) for name, paths in evaluations.items()]


def _protocols(config: Config, planners: list[Planner]) -> tuple[str, ...]:
    """The protocols asked for, or all that the tables share."""
    if config.protocol is not None:
        return parse_protocols(config.protocol)
    return shared_protocols(planners)

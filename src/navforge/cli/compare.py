"""`navforge compare a=[RUN,RUN] b=[RUN,RUN]`: paired differences of planners with seeds, and one verdict each."""

from __future__ import annotations

from navforge.cli.keys.compare import LATEX, MARKDOWN, NUMBERS, Config
from navforge.core import provenance
from navforge.core.errors import ConfigError
from navforge.core.files import write_text
from navforge.core.screen import screen
from navforge.evaluation import tables
from navforge.evaluation.groups import Planner
from navforge.evaluation.planned import compare_planners, pairs_against, to_frame
from navforge.reports.comparison_tables import comparison_sections
from navforge.reports.sections import print_section, to_latex, to_markdown
from navforge.scoring.protocols import parse_protocols


def run(config: Config) -> None:
    """Read the tables, compare, print and write."""
    planners = [Planner(name=name, tables=tuple(map(tables.read, paths))) for name, paths in config.evaluations.items()]
    pairs = pairs_against([planner.name for planner in planners], config.against)
    families = [compare_planners(planners, name, pairs) for name in _protocols(config, planners)]
    sections = [section for family in families for section in comparison_sections(family)]
    console = screen(width=160)
    for section in sections:
        print_section(console, section)
    if config.out is not None:
        write_text(config.out / MARKDOWN, to_markdown(sections))
        write_text(config.out / LATEX, to_latex(sections))
        write_text(config.out / NUMBERS, to_frame(families).write_csv())
        provenance.record(config.out, config, name="compare")
        console.print(f"\n{config.out / MARKDOWN}, {LATEX}, {NUMBERS}", soft_wrap=True)


def _protocols(config: Config, planners: list[Planner]) -> tuple[str, ...]:
    """The protocols asked for, or all that the tables share."""
    if config.protocol is not None:
        return parse_protocols(config.protocol)
    every = [table.meta.protocols for planner in planners for table in planner.tables]
    shared = tuple(name for name in every[0] if all(name in held for held in every))
    if not shared:
        held = sorted({", ".join(names) for names in every})
        raise ConfigError(
            f"protocol: the tables share none (they hold {'; '.join(held)}); numbers of different protocols cannot be "
            "compared, so score the plans again: navforge score trajectories=FOLDER/plans.npz protocol=..."
        )
    return shared

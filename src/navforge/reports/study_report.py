"""The report of a study: one page that holds everything, with tables and figures as files for a thesis beside it.

Only cells that are whole on a split are compared; what is missing is listed first and averaged over nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from navforge.core.files import atomic_path, write_text
from navforge.evaluation import label_efficiency as labels
from navforge.evaluation.groups import Planner, shared_protocols
from navforge.evaluation.label_efficiency import LabelEfficiency, label_efficiency, labels_known
from navforge.evaluation.planned import Family, compare_planners, to_frame
from navforge.evaluation.published import choose_published
from navforge.record.record import Record
from navforge.reports.comparison_tables import comparison_sections, label_sections
from navforge.reports.costs import cost_frame, cost_section
from navforge.reports.experiment_record import write_record
from navforge.reports.figures import comparisons as figures
from navforge.reports.figures.svg import INK, to_svg, write_figure
from navforge.reports.page import render
from navforge.reports.record_cards import cards
from navforge.reports.record_tables import record_sections
from navforge.reports.sections import Section, to_latex, to_markdown
from navforge.studies.results import Cell, StudyResults

PAGE = "index.html"
TABLES, LABELS = "comparison", "labels"
"""Files of the tables, without suffix."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the page and of the folder `figures`."""

    name: str
    """Of its files, without suffix."""
    title: str
    draw: Callable[[str], Figure]
    """In a text colour."""

    @property
    def svg(self) -> str:
        """For the page, whose text colour it takes."""
        return to_svg(self.draw(INK), self.name)


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """A split: what is said of it."""

    split: str
    absent: tuple[str, ...]
    """Cells that are not whole on it."""
    sections: tuple[Section, ...]
    pictures: tuple[Picture, ...]
    frame: pl.DataFrame
    curves: pl.DataFrame


def write_study_report(results: StudyResults, record: Record, out: Path) -> tuple[Section, ...]:
    """Write `index.html`, `comparison.*`, `labels.*`, `figures` and the record into a folder.

    Args:
        results: of the study.
        record: of its runs.
        out: the folder.

    Returns:
        The tables, split by split; none while no cell is whole anywhere.

    Raises:
        DataError: a result is damaged, or tables of one split cannot be compared.
    """
    costs = cost_frame({cell.name: cell.runs for cell in results.cells if cell.runs})
    chapters = [_chapter(results, split, costs) for split in results.splits]
    sections = tuple(section for chapter in chapters for section in chapter.sections)
    _write_files(chapters, sections, out)
    write_record(record, out)
    page = render(
        "study.html.j2",
        results=results,
        missing=[(cell.name, what) for cell in results.cells for what in cell.missing],
        chapters=chapters,
        costs=cost_section(costs) if costs.height else None,
        made=record_sections(record),
        cards=cards(record),
    )
    write_text(out / PAGE, page)
    return sections


def _chapter(results: StudyResults, split: str, costs: pl.DataFrame) -> Chapter:
    whole = results.cells_of(split)
    absent = tuple(cell.name for cell in results.cells if cell not in whole)
    if not whole:
        return Chapter(
            split=split, absent=absent, sections=(), pictures=(), frame=to_frame([]), curves=labels.to_frame([])
        )
    planners, floors = results.planners(split), results.floor_planners(split)
    protocols = shared_protocols([*planners, *floors])
    published = choose_published(None, dict.fromkeys(protocols, planners[0].tables[0].meta))
    families = [
        compare_planners(
            planners,
            name,
            results.pairs(split),
            floors=floors,
            published=published[name],
            planned=len(results.comparisons),
        )
        for name in protocols
    ]
    curves = _curves(results.factors, whole, {planner.name: planner for planner in planners})
    efficiency = [label_efficiency(curves, name) for name in protocols] if curves else []
    return Chapter(
        split=split,
        absent=absent,
        sections=(
            *comparison_sections(families),
            *(section for one in efficiency for section in label_sections(one)),
        ),
        pictures=tuple(_pictures(split, families, efficiency, costs)),
        frame=to_frame(families),
        curves=labels.to_frame(efficiency),
    )


def _curves(
    factors: Mapping[str, tuple[str, ...]], cells: tuple[Cell, ...], planners: Mapping[str, Planner]
) -> dict[str, list[Planner]]:
    """Planners by curve: cells that are alike but for the one factor whose levels are numbers of labels; else none."""
    for factor in factors:
        groups: dict[str, list[Planner]] = {}
        for cell in cells:
            others = ", ".join(level for name, level in cell.levels.items() if name != factor)
            groups.setdefault(others or factor, []).append(planners[cell.name])
        curves = {name: group for name, group in groups.items() if len(group) > 1}
        if curves and all(map(labels_known, curves.values())):
            return curves
    return {}


def _pictures(
    split: str, families: list[Family], efficiency: list[LabelEfficiency], costs: pl.DataFrame
) -> list[Picture]:
    found = []

    def add(kind: str, title: str, draw: Callable[..., Figure | None], *frames: pl.DataFrame) -> None:
        if draw(*frames, INK) is not None:
            whole: Any = draw
            found.append(Picture(name=f"{split}-{kind}", title=title, draw=lambda ink: whole(*frames, ink)))

    for family in families:
        name, frame = family.protocol, to_frame([family])
        if family.differences:
            add(f"{name}-comparisons", f"Comparisons under {name}", figures.forest, frame)
        for one in efficiency:
            if one.protocol == name:
                add(f"{name}-labels", f"Score over labels under {name}", figures.label_curves, labels.to_frame([one]))
        add(f"{name}-sub-scores", f"Sub-scores under {name}", figures.breakdown, frame)
        add(f"{name}-cost", f"Score against cost under {name}", figures.score_against_cost, frame, costs)
    add("smoothness", "Smoothness as driven", figures.smoothness, to_frame(families[:1]))
    return found


def _write_files(chapters: Sequence[Chapter], sections: tuple[Section, ...], out: Path) -> None:
    if sections:
        write_text(out / f"{TABLES}.md", to_markdown(sections))
        write_text(out / f"{TABLES}.tex", to_latex(sections))
    frames = {TABLES: [chapter.frame for chapter in chapters], LABELS: [chapter.curves for chapter in chapters]}
    for name, parts in frames.items():
        if any(part.height for part in parts):
            frame = pl.concat([part for part in parts if part.height])
            write_text(out / f"{name}.csv", frame.write_csv())
            with atomic_path(out / f"{name}.parquet") as partial:
                frame.write_parquet(partial)
    for chapter in chapters:
        for picture in chapter.pictures:
            write_figure(picture.draw, out / "figures" / picture.name)

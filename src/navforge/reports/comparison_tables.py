"""Planned comparisons as tables of text: means, verdicts, and what the sub-scores say; one protocol in each."""

from __future__ import annotations

from navforge.evaluation.planned import AT_ZERO, SCORE, Difference, Family
from navforge.reports.page import SHORT
from navforge.reports.sections import Section
from navforge.scoring.protocols import protocol
from navforge.statistics.contrasts import Estimate

NONE = "-"


def comparison_sections(family: Family) -> tuple[Section, Section, Section]:
    """Means of the planners, the verdicts, and the differences of every column."""
    return _means(family), _verdicts(family), _columns(family)


def stamp(family: Family) -> str:
    """What the numbers were computed from, in words."""
    seeds = ", ".join(f"{one.name} {one.seeds if one.trained else 'none'}" for one in family.planners)
    filtered = "on" if family.human_filter else "off"
    return (
        f"{protocol(family.protocol).title}; {family.meta.coverage()}, {family.logs} logs, human filter {filtered}; "
        f"seeds: {seeds}"
    )


def _means(family: Family) -> Section:
    columns = [column for column in family.planners[0].columns if column != SCORE]
    rows = []
    for planner in family.planners:
        score = planner.columns[SCORE]
        spread = NONE if planner.seed_sd is None else f"{planner.seed_sd:.2f}"
        seeds = str(planner.seeds) if planner.trained else "none"
        cells = [planner.name, planner.labels, f"{score.value:.1f}", _span(score), seeds, spread]
        rows.append((*cells, *(f"{planner.columns[column].value:.1f}" for column in columns)))
    heads = ("planner", "labels", "score", "95 %", "seeds", "sd over seeds", *map(_short, columns))
    return Section(f"Scores under {family.protocol}, points", stamp(family), heads, tuple(rows), words=2)


def _verdicts(family: Family) -> Section:
    rows = tuple(_verdict(one) for one in family.differences)
    heads = ("first", "second", "verdict", "difference", "95 %", "p", "p, Holm", "p, signs of logs", "detectable")
    note = (
        f"{stamp(family)}. First - second on the same scenes; the verdict is by Holm's p over {len(rows)} comparisons"
    )
    return Section(f"Comparisons under {family.protocol}, points", note, heads, rows, words=3)


def _verdict(one: Difference) -> tuple[str, ...]:
    score = one.columns[SCORE]
    return (
        one.first,
        one.second,
        one.verdict.value,
        f"{score.value:+.2f}",
        _span(score, signed=True),
        *(_p(value) for value in (score.p, one.p_corrected, one.p_signs)),
        NONE if one.detectable is None else f"{one.detectable:.2f}",
    )


def _columns(family: Family) -> Section:
    rows = []
    for one in family.differences:
        for column, found in one.columns.items():
            cells = (one.first, one.second, _short(column), f"{found.value:+.2f}", _span(found, signed=True))
            rows.append((*cells, str(found.scenes)))
    heads = ("first", "second", "column", "difference", "95 %", "scenes")
    note = f"{stamp(family)}. Intervals are not corrected for the number of columns"
    return Section(f"Differences by sub-score under {family.protocol}, points", note, heads, tuple(rows), words=3)


def _short(column: str) -> str:
    return {SCORE: "score", AT_ZERO: "scenes at 0"}.get(column) or SHORT[column]


def _span(one: Estimate, *, signed: bool = False) -> str:
    if one.low is None or one.high is None:
        return "n/a"
    return f"{one.low:+.2f} .. {one.high:+.2f}" if signed else f"{one.low:.1f} .. {one.high:.1f}"


def _p(value: float | None) -> str:
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"

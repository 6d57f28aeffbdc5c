"""Planned comparisons as tables of text: means, verdicts, and what the sub-scores say; one protocol in each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from navforge.evaluation.label_efficiency import LabelEfficiency
from navforge.evaluation.planned import AT_ZERO, SCORE, Difference, Family, PlannerMeans, unit_of
from navforge.evaluation.published import Published
from navforge.reports.page import SHORT
from navforge.reports.sections import Group, Section
from navforge.scoring.protocols import protocol
from navforge.statistics.contrasts import Estimate

NONE = "-"


def comparison_sections(families: Sequence[Family]) -> tuple[Section, ...]:
    """Per protocol: means of the planners, the verdicts, the differences of every column; then, once, the metrics.

    What is measured beside the score has no protocol.
    """
    scores = (table(family) for family in families for table in (_means, _verdicts, _columns))
    return (*scores, *map(_beside, [family for family in families if family.metric_columns][:1]))


def stamp(family: Family) -> str:
    """What the numbers were computed from, in words."""
    seeds = "; ".join(f"{one.name}: {one.seeds if one.trained else 'none'}" for one in family.planners)
    filtered = "on" if family.human_filter else "off"
    return f"{protocol(family.protocol).title}; {scenes_of(family)}, human filter {filtered}; seeds: {seeds}"


def scenes_of(family: Family) -> str:
    """The scenes behind the numbers, in words."""
    return f"{family.meta.coverage()}, {family.logs} logs"


def _means(family: Family) -> Section:
    columns = [column for column in family.score_columns if column != SCORE]
    heads = (
        "planner",
        "labels",
        "learned for",
        "better than",
        "score",
        "95 %",
        "seeds",
        "sd over seeds",
        *map(column_title, columns),
    )
    rows = [_mean(one, ", ".join(family.better_than(one.name)), columns) for one in family.planners]
    below = []
    if family.floors:
        below.append(Group("floors", tuple(_mean(one, "", columns) for one in family.floors)))
    sources = list(dict.fromkeys(one.source for one in family.published))
    if family.published:
        papers = tuple(_of_paper(one, sources.index(one.source) + 1, columns) for one in family.published)
        below.append(Group("published", papers))
    papers = "; ".join(f"[{number}] {source}" for number, source in enumerate(sources, 1))
    notes = [stamp(family), "Better than: by verdict"]
    notes += ["Floors are in no comparison"] if family.floors else []
    notes += [f"Published, not run here: {papers}"] if papers else []
    title = f"Scores under {family.protocol}, points"
    return Section(title, ". ".join(notes), heads, tuple(rows), words=4, below=tuple(below))


def _mean(planner: PlannerMeans, better_than: str, columns: Sequence[str]) -> tuple[str, ...]:
    score = planner.columns[SCORE]
    spread = NONE if planner.seed_sd is None else f"{planner.seed_sd:.2f}"
    seeds = str(planner.seeds) if planner.trained else "none"
    cells = (planner.name, planner.labels if planner.trained else NONE, planner.length or NONE, better_than or NONE)
    numbers = (f"{score.value:.1f}", _span(score), seeds, spread)
    found = (planner.columns.get(column) for column in columns)
    return (*cells, *numbers, *(NONE if one is None else f"{one.value:.1f}" for one in found))


def _of_paper(row: Published, number: int, columns: Sequence[str]) -> tuple[str, ...]:
    found = (row.values.get(column) for column in columns)
    cells = (f"{row.title} [{number}]", NONE, NONE, NONE, f"{row.values[SCORE]:.1f}", NONE, NONE, NONE)
    return (*cells, *(NONE if value is None else f"{value:.1f}" for value in found))


def _verdicts(family: Family) -> Section:
    rows = tuple(_verdict(one) for one in family.differences)
    heads = ("first", "second", "verdict", "difference", "95 %", "p", "p, Holm", "p, signs of logs", "detectable")
    waiting = family.planned - len(rows)
    family_words = f"a family of {family.planned}" + (f", {waiting} of them not run yet" if waiting else "")
    note = f"{stamp(family)}. First - second on the same scenes; the verdict is by Holm's p over {family_words}"
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
        for column in family.score_columns:
            found = one.columns[column]
            cells = (one.first, one.second, column_title(column), f"{found.value:+.2f}", _span(found, signed=True))
            rows.append((*cells, str(found.scenes)))
    heads = ("first", "second", "column", "difference", "95 %", "scenes")
    note = f"{stamp(family)}. Intervals are not corrected for the number of columns"
    return Section(f"Differences by sub-score under {family.protocol}, points", note, heads, tuple(rows), words=3)


def _beside(family: Family) -> Section:
    """A row per metric, a column per planner: the mean and half of its interval, which is symmetric."""
    everyone = (*family.planners, *family.floors)
    rows = []
    for column in family.metric_columns:
        found = [one.columns.get(column) for one in everyone]
        digits = _digits(max(abs(one.value) for one in found if one is not None))
        rows.append((metric_title(column), *(_metric(one, digits) for one in found)))
    note = f"{scenes_of(family)}. Mean and half-width of the 95 % interval; no part of any score and of no verdict"
    heads = ("metric", *(one.name for one in everyone))
    return Section("Beside the score", note, heads, tuple(rows))


def metric_title(column: str) -> str:
    """Name and unit of a metric; the unit is the last word of the column's name."""
    unit = unit_of(column)
    words = column.rpartition("_")[0] if unit else column
    return words.replace("_", " ") + (f", {unit}" if unit else "")


def _digits(largest: float) -> int:
    """Decimals that give the largest value of a row three digits."""
    return 2 if largest == 0 else min(max(2 - math.floor(math.log10(largest)), 0), 6)


def _metric(one: Estimate | None, digits: int) -> str:
    if one is None:
        return NONE
    reach = "n/a" if one.high is None else f"{one.high - one.value:.{digits}f}"
    return f"{one.value:.{digits}f} ± {reach}"


def column_title(column: str) -> str:
    """A column in points as tables and figures call it."""
    return {SCORE: "score", AT_ZERO: "scenes at 0"}.get(column) or SHORT[column]


def _span(one: Estimate, *, signed: bool = False) -> str:
    if one.low is None or one.high is None:
        return "n/a"
    return f"{one.low:+.2f} .. {one.high:+.2f}" if signed else f"{one.low:.1f} .. {one.high:.1f}"


def _p(value: float | None) -> str:
    if value is None:
        return NONE
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def label_sections(found: LabelEfficiency) -> tuple[Section, ...]:
    """Labels needed and areas of the curves, and the paired differences of the areas."""
    title = protocol(found.protocol).title
    where = f"{title}; {found.meta.coverage()}, {found.logs} logs"
    target = found.curves[0].needed.target
    rows = []
    for curve in found.curves:
        scores = ", ".join(f"{labels:,}: {p.value:.1f}" for labels, p in zip(curve.labels, curve.points, strict=True))
        needed = curve.needed
        between = f"{_scenes(needed.low, 'fewer')} .. {_scenes(needed.high, 'more')}"
        area = (f"{curve.area.value:.1f}", _span(curve.area))
        rows.append((curve.name, scores, _scenes(needed.labels, NONE), between, *area))
    heads = ("curve", "score by labels", f"labels to {target:.1f}", "95 %", "area", "95 %")
    note = (
        f"{where}. Labels are scenes; {target:.1f} is what every curve reaches with its most labels; the area is the "
        "mean height over the logarithm of the labels. fewer, more: than ran"
    )
    curves = Section(f"Label efficiency under {found.protocol}, points", note, heads, tuple(rows), words=2)
    if not found.differences:
        return (curves,)
    pairs = tuple(
        (
            one.first,
            one.second,
            one.verdict.value,
            f"{one.estimate.value:+.2f}",
            _span(one.estimate, signed=True),
            *map(_p, (one.estimate.p, one.p_corrected)),
        )
        for one in found.differences
    )
    heads = ("first", "second", "verdict", "difference", "95 %", "p", "p, Holm")
    note = f"{where}. Paired by scene; Holm over {len(pairs)} pairs of curves, a family of its own"
    return curves, Section(f"Areas compared under {found.protocol}, points", note, heads, pairs, words=3)


def _scenes(labels: float | None, otherwise: str) -> str:
    return otherwise if labels is None else f"{labels:,.0f}"

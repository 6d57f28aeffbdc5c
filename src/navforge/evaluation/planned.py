"""Comparisons planned together: every planner's means, paired differences with intervals, one verdict each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from navforge.core.errors import ConfigError, DataError
from navforge.evaluation.groups import Aligned, Planner, align, measured_columns
from navforge.evaluation.plan_metrics import ORACLE_GAP, PLAN_METRICS
from navforge.evaluation.published import Published
from navforge.evaluation.tables import TableMeta, subscores
from navforge.scoring.protocols import PROTOCOLS
from navforge.statistics.contrasts import Estimate, Runs, estimate, log_sums
from navforge.statistics.families import Verdict, holm, sign_flip, verdict
from navforge.statistics.intervals import LEVEL
from navforge.statistics.power import detectable

SCORE = "score"
AT_ZERO = "score_at_zero"
"""Share of scenes whose score is 0, named as a column."""
POINTS = 100.0
"""Scores and shares are given in points: 0 to 100."""
POINTS_UNIT = "points"
UNITS = {metric.name: metric.unit for metric in (*PLAN_METRICS, ORACLE_GAP)}
"""Of what is measured beside the score; metrics of other packages do not tell theirs."""


@dataclass(frozen=True, kw_only=True)
class PlannerMeans:
    """One planner's means: in points, but for what is measured beside the score."""

    name: str
    seeds: int
    trained: bool
    labels: str
    """Which labels it learned from, in words."""
    length: str | None
    """How long its runs learned, in words; None where that is not known."""
    seed_sd: float | None
    """Standard deviation of the score over seeds; None with one."""
    columns: dict[str, Estimate]
    """By column: the score, share of scenes at zero, sub-scores, then what is measured beside the score of every
    planner (`plan_metrics`), in its own unit; only columns that are defined somewhere."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """First - second on the same scenes, units as in `PlannerMeans`."""

    first: str
    second: str
    columns: dict[str, Estimate]
    """As in `PlannerMeans`; the score decides, the others explain and are not corrected for their number."""
    p_corrected: float | None
    """Of the score, by Holm over the family; None with one seed or one log."""
    p_signs: float
    """Of the score, by the exact test over logs, the runs taken as given (`families.sign_flip`)."""
    detectable: float | None
    """Difference of the score that such a comparison finds in 80 % of cases, from the measured errors."""
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Family:
    """All comparisons of one protocol."""

    protocol: str
    meta: TableMeta
    """Of the first table: split, its hash and the traffic, which all tables share."""
    human_filter: bool
    scenes: int
    logs: int
    planners: tuple[PlannerMeans, ...]
    differences: tuple[Difference, ...]
    planned: int
    """Comparisons that the verdicts are corrected for; more than `differences` while some cannot be made yet."""
    floors: tuple[PlannerMeans, ...] = ()
    """What a score is read against, such as a plan of zeros: the same scenes, in no comparison."""
    published: tuple[Published, ...] = ()
    """Numbers of papers on the same scenes."""

    @property
    def score_columns(self) -> tuple[str, ...]:
        """Columns in points, the score first."""
        known = _columns(self.protocol)
        return tuple(column for column in self.planners[0].columns if column in known)

    @property
    def metric_columns(self) -> tuple[str, ...]:
        """Columns that are measured beside the score."""
        known = _columns(self.protocol)
        return tuple(column for column in self.planners[0].columns if column not in known)

    def better_than(self, name: str) -> tuple[str, ...]:
        """Planners that a verdict calls this one better than."""
        won = {Verdict.BETTER: lambda one: (one.first, one.second), Verdict.WORSE: lambda one: (one.second, one.first)}
        pairs = [won[one.verdict](one) for one in self.differences if one.verdict in won]
        return tuple(other for winner, other in pairs if winner == name)


def pairs_against(names: Sequence[str], against: str | None) -> list[tuple[str, str]]:
    """The pairs to compare: each other planner with `against`, the first one for None, or all pairs for `all`.

    Raises:
        ConfigError: no planner has that name.
    """
    if against == "all":
        return [(second, first) for i, first in enumerate(names) for second in names[i + 1 :]]
    base = names[0] if against is None else against
    if base not in names:
        raise ConfigError(f"against: expected all or one of {', '.join(names)}, got {base!r}")
    return [(name, base) for name in names if name != base]


def compare_planners(
    planners: Sequence[Planner],
    name: str,
    pairs: Sequence[tuple[str, str]],
    *,
    floors: Sequence[Planner] = (),
    published: Sequence[Published] = (),
    planned: int | None = None,
    level: float = LEVEL,
) -> Family:
    """Compare pairs of planners, which are one family, under one protocol.

    Args:
        planners: with distinct names.
        name: the protocol.
        pairs: names of first and second; positive differences say that the first is better.
        floors: planners whose means are given too; they change no other number.
        published: rows of papers to carry along (`published.choose_published`).
        planned: comparisons of the family, those that cannot be made yet among them, so that a family that is looked at
            before it is whole is corrected for all of it; None: `pairs` are all.
        level: of intervals; a family errs with probability 1 - level at most.

    Raises:
        DataError: planners that cannot be compared (`groups.align`), or a pair of unknown names.
    """
    every = align([*planners, *floors], name)
    places = {planner.name: place for place, planner in enumerate(planners)}
    strangers = {one for pair in pairs for one in pair} - places.keys()
    if strangers or len({one.name for one in every.planners}) < len(every.planners):
        raise DataError(f"planners are called {', '.join(p.name for p in every.planners)}; compared are {list(pairs)}")
    aligned = every.only(range(len(planners)))
    runs = _defined_runs(aligned, name)
    contrasts = [
        {
            column: estimate([values[places[first]], values[places[second]]], logs, level=level)
            for column, (values, logs) in runs.items()
        }
        for first, second in pairs
    ]
    corrected, size = _corrected([columns[SCORE] for columns in contrasts], planned)
    scores, logs = runs[SCORE]
    differences = []
    for (first, second), columns, p in zip(pairs, contrasts, corrected, strict=True):
        gap = scores[places[first]].values.mean(axis=0) - scores[places[second]].values.mean(axis=0)
        errors = columns[SCORE].errors
        differences.append(
            Difference(
                first=first,
                second=second,
                columns=columns,
                p_corrected=p,
                p_signs=sign_flip(log_sums(gap, logs)[0]),
                detectable=None if p is None or errors is None else detectable(errors, level=1 - (1 - level) / size),
                verdict=verdict(columns[SCORE], p, alpha=1 - level),
            )
        )
    rows = aligned.any_frame
    return Family(
        protocol=name,
        meta=aligned.planners[0].tables[0].meta,
        human_filter=bool(rows["human_filter"].any()),
        scenes=rows.height,
        logs=rows["log_name"].n_unique(),
        planners=tuple(_means(place, planner, runs, level) for place, planner in enumerate(planners)),
        differences=tuple(differences),
        planned=len(differences) if planned is None else planned,
        floors=tuple(
            _means(0, floor, _defined_runs(every.only([len(planners) + place]), name), level)
            for place, floor in enumerate(floors)
        ),
        published=tuple(published),
    )


def _corrected(scores: Sequence[Estimate], planned: int | None) -> tuple[list[float | None], int]:
    """By Holm over the family, the p of each score (None with one seed or one log), and the size of the family."""
    tested = [i for i, one in enumerate(scores) if one.p is not None and not one.one_seed]
    size = len(tested) if planned is None else planned
    p_values = [scores[i].p or 0.0 for i in tested] + [1.0] * (size - len(tested))
    corrected: list[float | None] = [None] * len(scores)
    for i, p in zip(tested, holm(p_values), strict=False):
        corrected[i] = float(p)
    return corrected, size


def _defined_runs(aligned: Aligned, name: str) -> dict[str, tuple[list[Runs], Any]]:
    """By column that is defined somewhere: the planners' runs, and the log of each scene."""
    columns = (*_columns(name), *measured_columns(aligned.planners))
    return {column: found for column in columns if len((found := _runs(aligned, column))[1])}


def _columns(name: str) -> tuple[str, ...]:
    return (SCORE, AT_ZERO, *subscores(name))


def _runs(aligned: Aligned, column: str) -> tuple[list[Runs], Any]:
    """Values of a column in its unit."""
    runs, logs = aligned.runs(SCORE if column == AT_ZERO else column)
    scale = POINTS if unit_of(column) == POINTS_UNIT else 1.0
    in_unit = (lambda values: scale * (values == 0)) if column == AT_ZERO else (lambda values: scale * values)
    return [dataclasses.replace(one, values=in_unit(one.values)) for one in runs], logs


def unit_of(column: str) -> str:
    """Unit of a column of `PlannerMeans`; empty for ratios and where it is not known."""
    in_points = {SCORE, AT_ZERO, *(name for known in PROTOCOLS for name in subscores(known.name))}
    return POINTS_UNIT if column in in_points else UNITS.get(column, "")


def _means(place: int, planner: Planner, runs: dict[str, tuple[list[Runs], Any]], level: float) -> PlannerMeans:
    means = runs[SCORE][0][place].values.mean(axis=1)
    return PlannerMeans(
        name=planner.name,
        seeds=len(planner.tables),
        trained=planner.trained,
        labels=planner.labels,
        length=planner.length,
        seed_sd=float(means.std(ddof=1)) if len(means) > 1 else None,
        columns={column: estimate([found[place]], logs, (1.0,), level=level) for column, (found, logs) in runs.items()},
    )


def to_frame(families: Sequence[Family]) -> pl.DataFrame:
    """One row per protocol, planner, floor, difference or published method, and column; each says what it is of.

    `kind` tells them apart; values and bounds are in `unit`.
    """
    rows = []
    for family in families:
        facts = {
            "protocol": family.protocol,
            "split": family.meta.split,
            "split_hash": family.meta.split_hash,
            "missing_scenes": family.meta.missing,
            "traffic": family.meta.traffic,
            "human_filter": family.human_filter,
        }
        labels = {planner.name: planner.labels for planner in family.planners}
        labels |= {floor.name: floor.labels for floor in family.floors}
        for kind, planner in [
            *(("planner", one) for one in family.planners),
            *(("floor", one) for one in family.floors),
        ]:
            rows += [
                {"kind": kind} | facts | _names(labels, planner.name) | _column(column) | _numbers(one)
                for column, one in planner.columns.items()
            ]
        for difference in family.differences:
            for column, one in difference.columns.items():
                names = _names(labels, difference.first, difference.second)
                row = {"kind": "difference"} | facts | names | _column(column) | _numbers(one)
                if column == SCORE:
                    row |= {
                        "p_corrected": difference.p_corrected,
                        "p_signs": difference.p_signs,
                        "detectable": difference.detectable,
                        "verdict": difference.verdict.value,
                    }
                rows.append(row)
        for found in family.published:
            of_paper = {"kind": "published"} | facts | {"first": found.title, "source": found.source}
            rows += [of_paper | _column(column) | {"value": value} for column, value in found.values.items()]
    text = ("kind", "protocol", "split", "split_hash", "traffic", "first", "second", "column", "verdict")
    text += ("labels_first", "labels_second", "unit", "source")
    whole = dict.fromkeys(("scenes", "logs", "seeds_first", "seeds_second"), pl.Int64)
    real = dict.fromkeys(
        ("low", "high", "p", "error_logs", "error_seeds", "p_corrected", "p_signs", "detectable"), pl.Float64
    )
    types = {**dict.fromkeys(text, pl.String), **whole, **real}
    return pl.DataFrame(rows, infer_schema_length=None, schema_overrides=types)


def _column(column: str) -> dict[str, str]:
    return {"column": column, "unit": unit_of(column)}


def _names(labels: dict[str, str], first: str, second: str | None = None) -> dict[str, Any]:
    of_second = None if second is None else labels[second]
    return {"first": first, "second": second, "labels_first": labels[first], "labels_second": of_second}


def _numbers(one: Estimate) -> dict[str, Any]:
    return {
        "scenes": one.scenes,
        "logs": one.logs,
        "seeds_first": one.seeds[0],
        "seeds_second": one.seeds[1] if len(one.seeds) > 1 else None,
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "p": one.p if len(one.seeds) > 1 else None,
        "error_logs": None if one.errors is None else float(one.errors.log_variance) ** 0.5,
        "error_seeds": None if one.errors is None or one.one_seed else float(one.errors.seed_variance) ** 0.5,
        "p_corrected": None,
        "p_signs": None,
        "detectable": None,
        "verdict": None,
        "source": None,
    }

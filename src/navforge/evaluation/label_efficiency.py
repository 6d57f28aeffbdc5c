"""Planners at several numbers of labels: curves of their scores, labels needed, areas and their paired differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from navforge.core.errors import DataError
from navforge.evaluation.groups import Planner, align
from navforge.evaluation.planned import POINTS, SCORE
from navforge.evaluation.tables import TableMeta
from navforge.statistics.contrasts import Estimate, Runs
from navforge.statistics.families import Verdict, holm, verdict
from navforge.statistics.intervals import LEVEL
from navforge.statistics.learning_curves import LabelsNeeded, LearningCurve, area, area_difference, band, labels_needed


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One planner over numbers of labels, in points."""

    name: str
    planners: tuple[str, ...]
    """Names at each level, fewest labels first."""
    labels: tuple[int, ...]
    """Scenes learned from."""
    points: tuple[Estimate, ...]
    area: Estimate
    """Mean height over the logarithm of the labels."""
    needed: LabelsNeeded
    """To reach the common target."""


@dataclass(frozen=True, kw_only=True)
class AreaDifference:
    """Area of the first curve less that of the second, paired by scene."""

    first: str
    second: str
    estimate: Estimate
    p_corrected: float | None
    """By Holm over all pairs of curves."""
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class LabelEfficiency:
    """Curves of one protocol."""

    protocol: str
    meta: TableMeta
    logs: int
    curves: tuple[Curve, ...]
    differences: tuple[AreaDifference, ...]
    """Of every pair of curves with the same numbers of labels: a family of its own."""


def label_efficiency(curves: Mapping[str, Sequence[Planner]], name: str, *, level: float = LEVEL) -> LabelEfficiency:
    """Learning curves over labels under one protocol.

    The target of `labels_needed` is the lowest of the curves' scores with the most labels: every curve reaches it.

    Args:
        curves: by name, one planner at two numbers of labels or more, in any order.
        name: the protocol.
        level: of intervals.

    Raises:
        DataError: planners that cannot be compared, or whose numbers of labels are not known or not different.
    """
    ordered = {curve: sorted(planners, key=_labels_of(planners)) for curve, planners in curves.items()}
    flat = [planner for planners in ordered.values() for planner in planners]
    aligned = align(flat, name)
    found, logs = aligned.runs(SCORE)
    runs = iter([Runs(values=POINTS * one.values, trained=one.trained) for one in found])
    shapes = {
        curve: LearningCurve(
            labels=tuple(_labels_of(planners)(planner) for planner in planners),
            levels=tuple(next(runs) for _ in planners),
        )
        for curve, planners in ordered.items()
    }
    target = min(float(shape.levels[-1].values.mean()) for shape in shapes.values())
    pairs = [pair for pair in combinations(shapes, 2) if shapes[pair[0]].labels == shapes[pair[1]].labels]
    areas = [area_difference(shapes[first], shapes[second], logs, level=level) for first, second in pairs]
    tested = [i for i, one in enumerate(areas) if one.p is not None and not one.one_seed]
    corrected = dict(zip(tested, map(float, holm([areas[i].p or 0.0 for i in tested])), strict=True))
    return LabelEfficiency(
        protocol=name,
        meta=flat[0].tables[0].meta,
        logs=len(np.unique(logs)),
        curves=tuple(
            Curve(
                name=curve,
                planners=tuple(planner.name for planner in ordered[curve]),
                labels=tuple(int(labels) for labels in shape.labels),
                points=band(shape, logs, level=level),
                area=area(shape, logs, level=level),
                needed=labels_needed(shape, target, logs, level=level),
            )
            for curve, shape in shapes.items()
        ),
        differences=tuple(
            AreaDifference(
                first=first,
                second=second,
                estimate=one,
                p_corrected=corrected.get(i),
                verdict=verdict(one, corrected.get(i), alpha=1 - level),
            )
            for i, ((first, second), one) in enumerate(zip(pairs, areas, strict=True))
        ),
    )


def labels_known(planners: Sequence[Planner]) -> bool:
    """Whether the planners learned from different numbers of labels of one split."""
    facts = [planner.tables[0].meta.labels for planner in planners]
    subsets = [one for one in facts if one is not None]
    scenes = {None if one is None else one.scenes for one in facts}
    return len(facts) > 1 and bool(subsets) and len(scenes) == len(facts) and len({s.split_hash for s in subsets}) == 1


def _labels_of(planners: Sequence[Planner]) -> Callable[[Planner], int]:
    """How many scenes a planner learned from; without a subset all of the split that its siblings' are part of."""
    if not labels_known(planners):
        raise DataError(
            f"{', '.join(planner.name for planner in planners)}: no learning curve; planners that learned from "
            "different subsets of the labels of one split are needed (labels.fraction)"
        )
    whole = next(facts.split_scenes for planner in planners if (facts := planner.tables[0].meta.labels) is not None)

    def count(planner: Planner) -> int:
        facts = planner.tables[0].meta.labels
        return whole if facts is None else facts.scenes

    return count


def to_frame(found: Sequence[LabelEfficiency]) -> pl.DataFrame:
    """Rows of `kind` point, area, labels_needed and area_difference; scores and areas in points, labels in scenes."""
    rows = []
    for one in found:
        facts = {"protocol": one.protocol, "split": one.meta.split, "split_hash": one.meta.split_hash}
        for curve in one.curves:
            common = facts | {"first": curve.name}
            rows += [
                common | {"kind": "point", "labels": float(labels)} | _bounds(point)
                for labels, point in zip(curve.labels, curve.points, strict=True)
            ]
            rows.append(common | {"kind": "area"} | _bounds(curve.area))
            needed = curve.needed
            bounds = {"value": needed.labels, "low": needed.low, "high": needed.high, "target": needed.target}
            rows.append(common | {"kind": "labels_needed"} | bounds)
        rows += [
            facts
            | {"first": pair.first, "second": pair.second, "kind": "area_difference", "p": pair.estimate.p}
            | _bounds(pair.estimate)
            | {"p_corrected": pair.p_corrected, "verdict": pair.verdict.value}
            for pair in one.differences
        ]
    text = ("kind", "protocol", "split", "split_hash", "first", "second", "verdict")
    numbers = ("labels", "value", "low", "high", "target", "p", "p_corrected")
    schema = {**dict.fromkeys(text, pl.String), **dict.fromkeys(numbers, pl.Float64)}
    return pl.DataFrame(rows, schema=schema)


def _bounds(one: Estimate) -> dict[str, float | None]:
    return {"value": one.value, "low": one.low, "high": one.high}

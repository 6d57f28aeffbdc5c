"""The numbers of a vocabulary report as tables of text, the same in the terminal and on the page."""

from __future__ import annotations

import math

import numpy as np

from navforge.reports.page import SHORT
from navforge.reports.sections import Section
from navforge.reports.vocabulary_report import THRESHOLDS, TURN_FROM_RAD, VocabularyReport
from navforge.scoring.protocols import protocol


def sections(report: VocabularyReport) -> tuple[Section, ...]:
    """Every table there is something to say in."""
    tables = [_limits(report)]
    if report.human is not None:
        tables.append(_errors(report))
    if report.oracle is not None:
        tables.append(_oracle(report))
        if report.losses:
            tables.append(_worst(report))
    return tuple(tables)


def percent(share: float) -> str:
    """A share as text; small ones keep their first digits, and 0 is only what is 0."""
    value = 100.0 * share
    if 0.0 < value < 0.01:
        return "< 0.01 %"
    return f"{value:.2f} %" if value < 1.0 and value > 0.0 else f"{value:.1f} %"


def _limits(report: VocabularyReport) -> Section:
    ours = report.limits
    human = None if report.human is None else report.human.limits
    beyond = None if report.human is None else report.human.beyond(ours)
    rows: list[tuple[str, ...]] = []

    def add(label: str, name: str, show: str, factor: float = 1.0, outside: str = "") -> None:
        cells = [label]
        for limits in (ours, human):
            if limits is not None:
                value = getattr(limits, name)
                cells.append(percent(value) if show == "%" else f"{factor * value:{show}}")
        if beyond is not None:
            cells.append(percent(getattr(beyond, outside)) if outside else "")
        rows.append(tuple(cells))

    degrees = math.degrees(1.0)
    add("trajectories", "trajectories", ",d", factor=1)
    add("top speed (m/s)", "top_speed_mps", ".1f", outside="top_speed")
    add("mean speed over 4 s, median (m/s)", "median_speed_mps", ".1f")
    add("strongest acceleration over 1 s (m/s2)", "acceleration_mps2", ".1f", outside="acceleration")
    add("strongest braking over 1 s (m/s2)", "braking_mps2", ".1f", outside="braking")
    add("farthest ahead (m)", "farthest_m", ".1f")
    add("lateral reach, left (m)", "left_m", ".1f", outside="left")
    add("lateral reach, right (m)", "right_m", ".1f", outside="right")
    add("sharpest left turn in 4 s (degrees)", "left_turn_rad", ".0f", degrees, "left_turn")
    add("sharpest right turn in 4 s (degrees)", "right_turn_rad", ".0f", degrees, "right_turn")
    add("fastest yaw (degrees/s)", "yaw_rate_radps", ".0f", degrees)
    add("largest angle between heading and path (degrees)", "slip_rad", ".0f", degrees)
    add("standing: end within 0.5 m of the start", "stationary_share", "%")
    add("reversing: drive more than 0.1 m backwards", "reversing_share", "%")
    add("straight: turn less than 6 degrees, standing ones included", "straight_share", "%")
    heads = ("", "entries") if human is None else ("", "entries", "humans", "humans beyond the entries")
    note = "" if report.human is None else f"humans: every scene of {report.human.split}"
    return Section("Limits", note, heads, tuple(rows))


def _errors(report: VocabularyReport) -> Section:
    assert report.human is not None
    labels = {
        "ade_m": ("average displacement error (m)", 1.0, ".3f"),
        "fde_m": ("displacement error after 4 s (m)", 1.0, ".3f"),
        "heading_rad": ("heading error (degrees)", math.degrees(1.0), ".2f"),
        "turns_ade_m": (
            f"average displacement error of turns beyond {math.degrees(TURN_FROM_RAD):.0f} degrees (m)",
            1.0,
            ".3f",
        ),
    }
    rows = []
    for name, spread in report.errors.items():
        label, factor, show = labels[name]
        rows.append((label, *(f"{factor * v:{show}}" for v in (spread.mean, spread.median, spread.p95, spread.max))))
    used = len(np.unique(report.human.quantisation.entry))
    note = (
        "human trajectory to its nearest entry (least average displacement over 8 poses), "
        f"{len(report.human.tokens):,} scenes of {report.human.split}; "
        f"{used:,} of {report.vocabulary.size:,} entries are the nearest of one"
    )
    return Section("Quantisation error", note, ("", "mean", "median", "95 %", "max"), tuple(rows))


def _oracle(report: VocabularyReport) -> Section:
    oracle = report.oracle
    assert oracle is not None
    rows = [
        ("best entry of each scene, mean score", f"{100 * oracle.best.mean():.2f}"),
        ("mean score of all entries", f"{100 * oracle.mean.mean():.2f}"),
        ("entries within 0.01 of the best, median", f"{np.median(oracle.good):,.0f}"),
    ]
    for score in THRESHOLDS:
        rows.append((f"scenes in which no entry reaches {100 * score:.0f}", percent(oracle.share_below(score))))
    note = f"{protocol(oracle.protocol).title} ({oracle.protocol}) without two-frame extended comfort, "
    return Section("Oracle", f"{note}{len(oracle.tokens):,} scenes of the teacher store", ("", "score"), tuple(rows))


def _worst(report: VocabularyReport) -> Section:
    oracle = report.oracle
    assert oracle is not None
    rows = [
        (
            oracle.tokens[row],
            f"{100 * oracle.best[row]:.2f}",
            str(oracle.entry[row]),
            f"{oracle.good[row]:,}",
            f"{100 * oracle.mean[row]:.2f}",
            ", ".join(f"{SHORT[name]} {100 * value:.0f}" for name, value in lost.items()) or "nothing",
        )
        for row, lost in zip(report.worst, report.losses, strict=True)
    ]
    note = "among equal best scores those with the fewest entries near it; what the best entry loses, by sub-score"
    heads = ("token", "best score", "best entry", "entries near it", "mean score", "loses")
    return Section("Worst scenes", note, heads, tuple(rows))

"""Learning curves from the `metrics.csv` that Lightning's CSV logger writes, and intervals of scores, as SVG."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from navforge.core.errors import DataError
from navforge.core.outside.files import shown
from navforge.core.outside.text import read_text
from navforge.reports.figures.style import SERIES
from navforge.reports.figures.svg import INK, plain, to_svg

_STAGES = ("train", "val", "valid", "validation", "test")
_CLOCKS = ("step", "epoch", "seconds")
"""Columns that say when, not how well."""
_PANEL = (4.1, 2.5)
_COLUMNS = 3


@dataclass(frozen=True)
class Curve:
    """One metric over training steps."""

    stage: str
    """train, val, ..., or empty."""
    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


def read_metrics(path: Path | str) -> list[Curve]:
    """All curves of a `metrics.csv` or `epochs.csv`, in column order; empty and infinite cells are left out.

    Raises:
        DataError: no such file, no column `step` or `epoch`, or a cell that is not a number.
    """
    reader = csv.DictReader(io.StringIO(read_text(path, "training metrics"), newline=""))
    try:
        columns, rows = list(reader.fieldnames or []), list(reader)
    except csv.Error as error:
        raise DataError(f"training metrics {path} are damaged: {error}") from error
    clock = next((name for name in ("step", "epoch") if name in columns), None)
    if clock is None:
        raise DataError(f"{path}: no column 'step' or 'epoch'; its columns are {shown(', '.join(columns))}")
    curves = []
    for column in columns:
        if column in _CLOCKS:
            continue
        try:
            points = [(int(float(row[clock])), float(row[column])) for row in rows if row[column] not in (None, "")]
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"{path}: column {shown(column)} holds a cell that is not a number ({error})") from error
        points = [(step, value) for step, value in points if math.isfinite(value)]
        if points:
            stage, name = _split(column)
            curves.append(Curve(stage, name, tuple(p[0] for p in points), tuple(p[1] for p in points)))
    return curves


def learning_curves(path: Path | str) -> str:
    """SVG of every metric of a `metrics.csv` that changes: one panel per name, training and validation together.

    Raises:
        DataError: as `read_metrics`, or nothing to draw.
    """
    panels: dict[str, list[Curve]] = {}
    for curve in read_metrics(path):
        if len(curve.values) > 1:
            panels.setdefault(curve.name, []).append(curve)
    if not panels:
        raise DataError(f"{path}: no metric has two points; train for longer, or log more often")
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (name, curves) in zip(grid.flat, panels.items(), strict=False):
        for curve in curves:
            color = SERIES[1] if curve.stage.startswith("val") else SERIES[0]
            marker = "o" if len(curve.steps) < 25 else None
            axes.plot(
                curve.steps, curve.values, color=color, linewidth=1.3, marker=marker, markersize=2.6, label=curve.stage
            )
        axes.set_title(name, fontsize=9, loc="left", fontweight="bold", color=INK)
        plain(axes)
        if any(curve.stage for curve in curves):
            axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("epoch" if Path(path).name.startswith("epoch") else "training step", fontsize=8)
    return to_svg(figure, "curves")


def score_intervals(rows: Sequence[tuple[str, float, float | None, float | None]]) -> str:
    """SVG of means with their intervals: (label, mean, low, high) from top to bottom, in percent; None: no interval."""
    figure = Figure(figsize=(12.3, 0.46 * len(rows) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, (_, mean, low, high) in enumerate(rows):
        color = SERIES[row % len(SERIES)]
        if low is not None and high is not None:
            axes.plot([low, high], [row, row], color=color, linewidth=5, alpha=0.35, solid_capstyle="butt")
        axes.plot([mean], [row], marker="o", markersize=6, color=color)
        axes.annotate(
            f"{mean:.1f}", (mean, row), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8, color=INK
        )
        axes.axhline(row, color=INK, alpha=0.08, linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    plain(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=9)
    return to_svg(figure, "scores")


def _split(column: str) -> tuple[str, str]:
    """Stage and name of a column such as `train/loss`, `val_loss` or `train/loss_epoch`."""
    for mark in ("/", "_"):
        stage, found, name = column.partition(mark)
        if found and stage in _STAGES:
            return stage, name
    return "", column

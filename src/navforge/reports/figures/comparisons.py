"""Figures of compared planners, from the rows of `evaluation.planned.to_frame`: what tables print is what is drawn.

Every function takes the rows of one protocol and the colour of the text, and draws in `style.SERIES`; markers repeat
what colours say, so that figures read in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from navforge.evaluation.planned import AT_ZERO, SCORE
from navforge.reports.comparison_tables import column_title, metric_title
from navforge.reports.figures.style import SERIES, series
from navforge.reports.figures.svg import INK, plain
from navforge.statistics.families import Verdict

WIDTH = 7.2
"""Inches: a page of a thesis within its margins."""
_ROW = 0.3
_FILL = {Verdict.BETTER: SERIES[0], Verdict.WORSE: SERIES[1], Verdict.NOT_SHOWN: "none", Verdict.ONE_SEED: "none"}
_SHAPE = {Verdict.BETTER: ">", Verdict.WORSE: "<", Verdict.NOT_SHOWN: "o", Verdict.ONE_SEED: "D"}


def forest(frame: pl.DataFrame, ink: str = INK) -> Figure:
    """Differences of the score with their intervals and verdicts, one comparison per line."""
    rows = frame.filter((pl.col("kind") == "difference") & (pl.col("column") == SCORE)).to_dicts()
    figure, axes = _lines(len(rows))
    axes.axvline(0.0, color=ink, linewidth=0.9)
    for place, row in enumerate(rows):
        word = Verdict(row["verdict"])
        color = {Verdict.BETTER: SERIES[0], Verdict.WORSE: SERIES[1]}.get(word, SERIES[6])
        _interval(axes, row, place, color, marker=_SHAPE[word], fill=_FILL[word])
        span = "" if row["low"] is None else f" [{row['low']:+.2f}, {row['high']:+.2f}]"
        text = f"{row['value']:+.2f}{span}  {word.value}"
        axes.annotate(text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=7, color=ink)
    _names(axes, [f"{row['first']} \u2212 {row['second']}" for row in rows], ink)
    axes.set_xlabel("difference of the score, points, with 95 % interval", fontsize=8)
    return figure


def breakdown(frame: pl.DataFrame, ink: str = INK) -> Figure:
    """Means of every sub-score and of the share of scenes at 0, planners and floors beside each other."""
    means = frame.filter(pl.col("kind").is_in(["planner", "floor"]) & (pl.col("unit") == "points"))
    columns = [column for column in means["column"].unique(maintain_order=True) if column != AT_ZERO]
    columns = [*columns, AT_ZERO]
    names = means["first"].unique(maintain_order=True).to_list()
    rows = {(row["first"], row["column"]): row for row in means.to_dicts()}
    figure, axes = _lines(round(len(columns) * max(1.0, 0.3 * len(names))), legend=True)
    for number, name in enumerate(names):
        shift = 0.7 * ((number + 0.5) / len(names) - 0.5)
        for place, column in enumerate(columns):
            if (name, column) in rows:
                color, marker, _ = series(number)
                label = name if place == 0 else None
                _interval(axes, rows[name, column], place + shift, color, marker=marker, label=label, size=4)
    for place in range(1, len(columns)):
        axes.axhline(place - 0.5, color=ink, alpha=0.2, linewidth=0.5)
    _names(axes, [column_title(column) for column in columns], ink)
    axes.set_xlabel("mean, points, with 95 % interval", fontsize=8)
    _legend(figure, axes, ink)
    return figure


def smoothness(frame: pl.DataFrame, ink: str = INK) -> Figure | None:
    """Root mean squares as driven and the comfort share, a panel each; None where they were not measured."""
    means = frame.filter(pl.col("kind").is_in(["planner", "floor"]))
    every = means["column"].unique(maintain_order=True)
    columns = [column for column in every if "_rms_" in column or column == "comfort_share"]
    if not columns:
        return None
    names = means["first"].unique(maintain_order=True).to_list()
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    figure = Figure(figsize=(WIDTH, down * (0.7 + 0.2 * len(names))), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes, column in zip(grid.flat, columns, strict=False):
        found = {row["first"]: row for row in means.filter(pl.col("column") == column).to_dicts()}
        for place, name in enumerate(names):
            if name in found:
                color, marker, _ = series(place)
                _interval(axes, found[name], place, color, marker=marker, size=4)
        axes.set_title(metric_title(column), fontsize=8, loc="left", color=ink)
        axes.set_xlim(left=0.0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _names(axes, names, ink)
    for axes in list(grid.flat)[len(columns) :]:
        axes.set_axis_off()
    return figure


_UNITS = (("seconds", 3600.0), ("minutes", 60.0), ("hours", 1.0))
_UNIT_ENDS = 180.0
"""Number of a unit of time from which the next longer one is used."""


def score_against_cost(frame: pl.DataFrame, costs: pl.DataFrame, ink: str = INK) -> Figure | None:
    """Score over what training took; None where no planner's cost is known.

    Args:
        frame: rows of one protocol.
        costs: rows of `reports.costs.cost_frame`; time on GPUs where any run used one, else of the run.
        ink: colour of text.
    """
    scores = frame.filter((pl.col("kind") == "planner") & (pl.col("column") == SCORE))
    on_gpu = bool((costs["gpu_hours"].fill_null(0.0) > 0).any())
    cost = "gpu_hours" if on_gpu else "hours"
    joined = scores.join(costs, left_on="first", right_on="planner", maintain_order="left").drop_nulls(cost)
    if not joined.height:
        return None
    unit, per_hour = next(one for one in _UNITS if joined[cost].max() * one[1] < _UNIT_ENDS or one is _UNITS[-1])  # type: ignore[operator]
    figure, axes = _lines(11, legend=True)
    for number, row in enumerate(joined.to_dicts()):
        color, marker, _ = series(number)
        at = row[cost] * per_hour
        if row["low"] is not None:
            axes.plot([at, at], [row["low"], row["high"]], color=color, linewidth=1.2, alpha=0.6)
        axes.plot([at], [row["value"]], marker, color=color, markersize=6, label=row["first"])
    plain(axes, ink)
    if joined[cost].min() > 0:  # type: ignore[operator]
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
    axes.set_xlabel(f"{'GPU ' if on_gpu else ''}{unit} of training, mean over seeds", fontsize=8)
    axes.set_ylabel("score, points, with 95 % interval", fontsize=8)
    _legend(figure, axes, ink)
    return figure


def label_curves(frame: pl.DataFrame, ink: str = INK) -> Figure:
    """Score over the number of labels with bands, from rows of `evaluation.label_efficiency.to_frame`."""
    points = frame.filter(pl.col("kind") == "point")
    figure, axes = _lines(11, legend=True)
    for number, name in enumerate(points["first"].unique(maintain_order=True)):
        rows = points.filter(pl.col("first") == name)
        color, marker, dash = series(number)
        labels = rows["labels"].to_list()
        if not rows["low"].null_count():
            axes.fill_between(
                labels, rows["low"].to_list(), rows["high"].to_list(), color=color, alpha=0.15, linewidth=0
            )
        axes.plot(
            labels, rows["value"].to_list(), color=color, marker=marker, markersize=4, linewidth=1.5,
            linestyle=dash, label=name,
        )  # fmt: skip
    target = frame.filter(pl.col("kind") == "labels_needed")["target"]
    if len(target):
        axes.axhline(target[0], color=ink, alpha=0.6, linewidth=0.8, linestyle=(0, (2, 2)))
    plain(axes, ink)
    every = sorted(set(points["labels"].to_list()))
    axes.set_xscale("log")
    axes.set_xticks(every, [f"{labels:,.0f}" for labels in every])
    axes.minorticks_off()
    axes.set_xlabel("labelled scenes, logarithmic", fontsize=8)
    axes.set_ylabel("score, points, with 95 % band", fontsize=8)
    _legend(figure, axes, ink)
    return figure


def _lines(count: int, *, legend: bool = False) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, _ROW * count + 0.75 + (0.3 if legend else 0.0)), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _interval(
    axes: Axes, row: dict[str, Any], place: float, color: str, *, marker: str, fill: str | None = None,
    label: str | None = None, size: float = 6,
) -> None:  # fmt: skip
    if row["low"] is not None:
        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=1.4, solid_capstyle="butt")
    face = fill if fill is not None else color
    axes.plot(
        [row["value"]], [place], marker, color=color, markerfacecolor="white" if face == "none" else face,
        markersize=size, label=label,
    )  # fmt: skip


def _names(axes: Axes, names: Sequence[str], ink: str) -> None:
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    plain(axes, ink)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)


def _legend(figure: Figure, axes: Axes, ink: str) -> None:
    handles, names = axes.get_legend_handles_labels()
    columns = max(1, min(4, 90 // max(1, *(len(name) + 6 for name in names))))
    figure.legend(handles, names, loc="outside upper left", ncols=columns, fontsize=7, frameon=False, labelcolor=ink)

"""Figures of a vocabulary: the fan of its entries, speeds and ends, quantisation error, oracle scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator, PercentFormatter
from numpy.typing import NDArray

from navforge.geometry.vehicle import EGO_LENGTH_M, EGO_WIDTH_M, REAR_AXLE_TO_CENTER_M
from navforge.reports.figures import style
from navforge.reports.figures.bev import box_corners, to_png, upright
from navforge.reports.figures.svg import INK, plain, to_svg
from navforge.teacher.oracle import Oracle
from navforge.vocabulary.limits import Motion
from navforge.vocabulary.quantisation import Quantisation

WIDTH = 11.9
"""Inches at 100 dots each: the width of a page."""
CELL_M = 0.5
"""Side of a cell of the density."""
MOST_DOTS = 3000
"""Scatter plots show so many trajectories, evenly taken."""
SPEED_BIN_MPS = 1.0
LEAST_M = 1e-3
"""Errors below are drawn as this: their axis is logarithmic."""
FEWEST = 5
"""Trajectories a bin needs for a quantile to be drawn."""
VOCABULARY, HUMANS = style.SERIES[0], style.HUMAN.color
_GREY = "#444b55"
_BESIDE = "#8a8a8a"
"""Grey that shows on light and dark ground."""


def draw_fan(motion: Motion) -> bytes:
    """PNG: all entries from above, ego heading up, coloured by mean speed; beside it how many pass each place."""
    poses = motion.poses[..., :2].astype(np.float64)
    lines = np.concatenate([np.zeros((len(poses), 1, 2)), poses], axis=1)
    x, y = lines[..., 0], lines[..., 1]
    side = max(6.0, float(np.abs(y).max()) + 1.5)
    bottom, top = min(-4.0, float(x.min()) - 1.5), max(10.0, float(x.max()) + 1.5)
    height = float(np.clip(WIDTH / 2 * (top - bottom) / (2 * side), 4.0, 7.6))
    figure = Figure(figsize=(WIDTH, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_facecolor(style.OFF_ROAD)
    for axes, draw in zip(figure.subplots(1, 2), (_fan, _density), strict=True):
        draw(figure, axes, motion, lines)
        ego = upright(box_corners(np.array([REAR_AXLE_TO_CENTER_M, 0.0, 0.0]), EGO_LENGTH_M, EGO_WIDTH_M))
        axes.fill(ego[:, 0], ego[:, 1], facecolor="none", edgecolor=style.EGO_COLOR, linewidth=1.2, zorder=5)
        axes.set_xlim(-side, side)
        axes.set_ylim(bottom, top)
        axes.set_aspect("equal")
        _light(axes)
        axes.set_xlabel("right of ego (m)", fontsize=8, color=_GREY)
    return to_png(figure)


def _fan(figure: Figure, axes: Axes, motion: Motion, lines: NDArray[np.float64]) -> None:
    order = np.argsort(-motion.mean_speed, kind="stable")
    drawn = np.stack([-lines[order, :, 1], lines[order, :, 0]], axis=-1)
    colors = Normalize(0.0, max(float(motion.mean_speed.max()), 1.0))
    strength = float(np.clip(60.0 / np.sqrt(len(lines)), 0.3, 0.9))
    fan = LineCollection(list(drawn), cmap="viridis", norm=colors, linewidths=0.6, alpha=strength)
    fan.set_array(motion.mean_speed[order])
    axes.add_collection(fan)
    bar = figure.colorbar(fan, ax=axes, shrink=0.6, pad=0.02, aspect=30)
    if bar.solids is not None:
        bar.solids.set_alpha(1.0)
    _bar(bar.ax, "mean speed (m/s)")
    axes.set_title(f"{len(lines):,} entries", fontsize=9, loc="left", fontweight="bold", color=_GREY)
    axes.set_ylabel("ahead of ego (m)", fontsize=8, color=_GREY)


def _density(figure: Figure, axes: Axes, motion: Motion, lines: NDArray[np.float64]) -> None:
    """Entries that pass each cell, counted once each."""
    cells = np.rint(lines[:, 1:] / CELL_M).astype(np.int64)
    row = np.broadcast_to(np.arange(len(lines))[:, None], cells.shape[:2])
    passed = np.unique(np.stack([row.ravel(), *cells.reshape(-1, 2).T], axis=1), axis=0)[:, 1:]
    low, high = passed.min(axis=0), passed.max(axis=0)
    count = np.zeros(high - low + 1)
    np.add.at(count, tuple((passed - low).T), 1)
    edges = [(np.arange(low[i], high[i] + 2) - 0.5) * CELL_M for i in (0, 1)]
    shown = np.ma.masked_equal(count[:, ::-1], 0)
    mesh = axes.pcolormesh(
        -edges[1][::-1], edges[0], shown, cmap="magma_r", norm=LogNorm(1, max(2.0, count.max())), linewidth=0
    )
    _bar(figure.colorbar(mesh, ax=axes, shrink=0.6, pad=0.02, aspect=30).ax, f"entries through {CELL_M:g} m squares")
    axes.set_title("where they pass", fontsize=9, loc="left", fontweight="bold", color=_GREY)


def _bar(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, fontsize=8, color=_GREY)
    axes.tick_params(labelsize=7, colors=_GREY)


def _light(axes: Axes) -> None:
    axes.set_facecolor("white")
    axes.tick_params(labelsize=7, colors=_GREY)
    axes.grid(True, color=_GREY, alpha=0.15, linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def speeds_and_ends(vocabulary: Motion, human: Motion | None = None) -> str:
    """SVG: shares of entries, and of human trajectories, by mean speed, lateral offset and heading after 4 s."""
    figure, grid = _chart(3, 2.7)
    panels = [
        ("mean speed over 4 s (m/s)", lambda motion: motion.mean_speed, 1.0),
        ("left of ego after 4 s (m)", lambda motion: motion.poses[:, -1, 1].astype(np.float64), 1.0),
        ("turned after 4 s (degrees, left positive)", lambda motion: np.degrees(motion.turn), 5.0),
    ]
    for axes, (label, of, width) in zip(grid, panels, strict=True):
        sets = [("entries", VOCABULARY, of(vocabulary))] + ([("humans", HUMANS, of(human))] if human else [])
        low = min(float(values.min()) for _, _, values in sets)
        high = max(float(values.max()) for _, _, values in sets)
        edges = width * np.arange(np.floor(low / width), np.ceil(high / width) + 1.5)
        for name, color, values in sets:
            share = np.histogram(values, edges)[0] / len(values)
            axes.stairs(share, edges, color=color, linewidth=1.4, label=name, fill=False)
            axes.stairs(share, edges, color=color, alpha=0.15, fill=True)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(label, fontsize=8)
        plain(axes)
    grid[0].set_ylabel("share of trajectories", fontsize=8)
    grid[0].legend(fontsize=7, frameon=False, labelcolor=INK)
    return to_svg(figure, "speeds")


def error_by_speed(quantisation: Quantisation, speed: NDArray[np.float64], top_speed: float) -> str:
    """SVG: error of the nearest entry against the human's mean speed, and its distribution.

    Args:
        quantisation: errors (S,).
        speed: (S,) m/s mean speed of the human trajectories.
        top_speed: m/s of the vocabulary, drawn as a line.
    """
    figure, (left, right) = _chart(2, 3.1, ratios=(1.7, 1.0))
    some = np.unique(np.linspace(0, len(speed) - 1, min(len(speed), MOST_DOTS)).astype(np.int64))
    few = len(some) < 200
    left.scatter(
        speed[some],
        quantisation.ade[some],
        s=14 if few else 5,
        alpha=0.7 if few else 0.35,
        color=_BESIDE,
        linewidths=0,
        rasterized=True,
    )
    edges = SPEED_BIN_MPS * np.arange(np.floor(speed.max() / SPEED_BIN_MPS) + 2)
    place = np.digitize(speed, edges) - 1
    bins = [b for b in range(len(edges) - 1) if np.count_nonzero(place == b) >= FEWEST]
    middle = [edges[b] + SPEED_BIN_MPS / 2 for b in bins]
    for share, color, label in ((0.5, VOCABULARY, "median"), (0.95, style.SERIES[1], "95 % are below")):
        line = [float(np.quantile(quantisation.ade[place == b], share)) for b in bins]
        left.plot(middle, line, color=color, linewidth=1.8, marker="o", markersize=3, label=label)
    if top_speed < 1.3 * float(speed.max()):
        left.axvline(top_speed, color=INK, alpha=0.5, linewidth=1.0, linestyle=(0, (4, 3)))
        left.annotate(
            " top speed of the entries", (top_speed, 1.0), xycoords=("data", "axes fraction"), fontsize=7, color=INK,
            va="top",
        )  # fmt: skip
    left.set_xlabel("mean speed of the human trajectory (m/s)", fontsize=8)
    left.set_ylabel("average displacement error (m)", fontsize=8)
    left.set_ylim(bottom=0.0)
    left.set_xlim(left=0.0)
    for values, color, label in (
        (quantisation.ade, VOCABULARY, "average"),
        (quantisation.fde, style.SERIES[1], "after 4 s"),
    ):
        ordered = np.maximum(np.sort(values), LEAST_M)
        right.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), color=color, linewidth=1.6, label=label)
    right.set_xlabel("displacement error (m), log", fontsize=8)
    right.set_ylabel("share of trajectories below", fontsize=8)
    right.set_xscale("log")
    right.set_xlim(left=max(LEAST_M, float(np.quantile(quantisation.ade, 0.01))))
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in (left, right):
        plain(axes)
        axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    return to_svg(figure, "error")


def oracle_scores(oracle: Oracle, entries: int) -> str:
    """SVG: best score of each scene, and how many entries come near it.

    Args:
        oracle: best scores (S,).
        entries: size of the vocabulary.
    """
    figure, (left, right) = _chart(2, 2.8)
    edges = np.linspace(0.0, 100.0, 41)
    for values, color, label in (
        (oracle.best, VOCABULARY, "best entry (oracle)"),
        (oracle.mean, _BESIDE, "mean of all entries"),
    ):
        share = np.histogram(100.0 * values, edges)[0] / len(values)
        left.stairs(share, edges, color=color, linewidth=1.4, label=f"{label}: {100 * values.mean():.1f}")
        left.stairs(share, edges, color=color, alpha=0.15, fill=True)
        left.axvline(100.0 * float(values.mean()), color=color, linewidth=1.0, linestyle=(0, (4, 3)))
    left.set_xlabel("score of a scene (%)", fontsize=8)
    left.set_ylabel("share of scenes", fontsize=8)
    left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    left.legend(fontsize=7, frameon=False, labelcolor=INK)
    ordered = np.sort(oracle.good) / entries
    right.plot(100.0 * np.arange(1, len(ordered) + 1) / len(ordered), 100.0 * ordered, color=VOCABULARY, linewidth=1.6)
    right.set_yscale("log")
    right.set_xlabel("scenes, from the one with the fewest good entries (%)", fontsize=8)
    right.set_ylabel("entries within 0.01 of the best (%)", fontsize=8)
    right.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:g} %"))
    for axes in (left, right):
        plain(axes)
    return to_svg(figure, "oracle")


def _chart(panels: int, height: float, ratios: Sequence[float] | None = None) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(1, panels, width_ratios=ratios))

"""Charts as SVG that take their text colour from the page around them, so that they read on light and dark ground."""

from __future__ import annotations

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#123456"
"""Stands for the page's text colour until the SVG is written."""


def to_svg(figure: Figure, salt: str) -> str:
    """The figure as an `<svg>` element, the same text on every run."""
    out = io.StringIO()
    with rc_context({"svg.hashsalt": salt, "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.patch.set_alpha(0.0)
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    return text.replace(INK, "currentColor").strip()


def plain(axes: Axes) -> None:
    """Axes with a light grid, two spines and the page's text colour."""
    axes.patch.set_alpha(0.0)
    axes.tick_params(labelsize=7, colors=INK, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.grid(True, color=INK, alpha=0.12, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
        spine.set_alpha(0.5)

"""Charts as SVG that take their text colour from the page around them, so that they read on light and dark ground."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from navforge.core.files import atomic_path

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


def write_figure(draw: Callable[[str], Figure], stem: Path) -> None:
    """Write STEM.pdf, STEM.svg and STEM.png for print, the same bytes on every run: black on white, no dates.

    Args:
        draw: makes the figure in a text colour.
        stem: path without suffix.
    """
    nothing = {"pdf": ("Creator", "Producer", "CreationDate"), "svg": ("Creator", "Date"), "png": ("Software",)}
    with rc_context({"svg.hashsalt": stem.name, "pdf.fonttype": 42, "font.family": "sans-serif"}):
        for kind, names in nothing.items():
            with atomic_path(stem.with_name(f"{stem.name}.{kind}")) as partial:
                metadata: dict[str, str | None] = dict.fromkeys(names)
                draw("black").savefig(partial, format=kind, dpi=200, facecolor="white", metadata=metadata)


def plain(axes: Axes, ink: str = INK) -> None:
    """Axes with a light grid, two spines and the page's text colour."""
    axes.patch.set_alpha(0.0)
    axes.tick_params(labelsize=7, colors=ink, labelcolor=ink)
    axes.xaxis.label.set_color(ink)
    axes.yaxis.label.set_color(ink)
    axes.grid(True, color=ink, alpha=0.12, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink)
        spine.set_alpha(0.5)

"""A report for people: one row per finding, what refuses last and in full, then the figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from navforge.core.sizes import write_size
from navforge.preflight.duration import hours
from navforge.preflight.estimate import Estimate, seconds
from navforge.preflight.finding import OK, REFUSED, WARNING, Finding, Report

STYLES = {OK: "green", WARNING: "yellow", REFUSED: "bold red"}


def show(report: Report, console: Console) -> None:
    """Print a report."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in report.findings:
        table.add_row(finding.check, Text(finding.level, style=STYLES[finding.level]), _text(finding))
    console.print(table)
    console.print()
    figures = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, value in lines(report.figures):
        figures.add_row(name, value)
    console.print(Padding(figures, (0, 0, 1, 0)))
    if report.not_judged:
        names = ", ".join(report.not_judged)
        console.print(Text(f"not judged, for they need the run and {report.command} is not navforge's: {names}"))
    console.print(_verdict(report))


def lines(figures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, value with unit) of each figure that is known."""
    for name, keys, write in _ROWS:
        values = [figures[key] for key in keys if key in figures]
        if len(values) == len(keys):
            yield name, write(*values)


def _text(finding: Finding) -> Text:
    text = Text(finding.message)
    if finding.remedy and finding.level != OK:
        text.append("\n-> ", style=STYLES[finding.level])
        text.append(finding.remedy)
    return text


def _verdict(report: Report) -> Text:
    refused = len({finding.check for finding in report.refused})
    warnings = sum(finding.level == WARNING for finding in report.findings)
    spent = f" ({report.figures['preflight_s']:.0f} s)" if "preflight_s" in report.figures else ""
    if refused:
        return Text(f"refused by {refused} check{'s' * (refused > 1)}{spent}", style=STYLES[REFUSED])
    also = f", {warnings} warning{'s' * (warnings > 1)}" if warnings else ""
    may = "may start" if not report.not_judged else "may start by what was judged"
    return Text(f"{may}{also}{spent}", style=STYLES[WARNING if warnings else OK])


def _on(value: float, ends: Sequence[float], device: str) -> str:
    return f"{Estimate(value, *ends).written(seconds)}, measured on {device}"


def _time(value: float, ends: Sequence[float]) -> str:
    return Estimate(value, *ends).written(hours)


_ROWS: tuple[tuple[str, tuple[str, ...], Callable[..., str]], ...] = (
    ("ranks", ("ranks",), str),
    ("batch size per rank", ("batch_size",), str),
    ("loader workers per rank", ("loader_workers",), str),
    ("GPU memory", ("gpu_bytes",), write_size),
    ("GPU memory", ("gpu_bytes_at_least",), lambda size: f"at least {write_size(size)} (counted, not measured)"),
    ("host memory per node", ("host_bytes",), write_size),
    ("a loader worker", ("worker_bytes", "loader_examples_per_s"), lambda b, r: f"{write_size(b)}, {r:.1f} examples/s"),
    ("step", ("step_s", "step_range_s", "measured_on"), _on),
    ("an epoch", ("epoch_s", "epoch_range_s"), _time),
    ("whole run", ("duration_s", "duration_range_s"), _time),
)

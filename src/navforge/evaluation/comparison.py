"""Several agents on the same scenes: printed side by side, as paired differences and as distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from navforge.evaluation.summary import ProtocolSummary, compare
from navforge.evaluation.tables import ScoreTable, one_traffic, subscores
from navforge.scoring.protocols import protocol
from navforge.statistics.intervals import Interval

EDGES = (0.0, 1e-9, 0.25, 0.5, 0.75, 0.9, 1.0 + 1e-9)
"""Bins of a score: exactly 0, then up to each edge."""
Summaries = dict[str, dict[str, ProtocolSummary]]
"""Means by agent and protocol."""
BINS = ("0", "to 0.25", "to 0.5", "to 0.75", "to 0.9", "to 1")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One agent scores higher than another on the same scenes."""

    first: str
    second: str
    protocol: str
    words: str
    by_log: Interval
    by_scene: Interval

    @property
    def holds(self) -> bool:
        """Whether the whole interval over logs is above zero: scenes of one log are not independent evidence."""
        return self.by_log.low is not None and self.by_log.low > 0


def claim(tables: dict[str, ScoreTable], first: str, second: str, name: str, words: str) -> Claim:
    """Test one claim on the score tables, by label."""
    by_log, by_scene = compare(tables[first], tables[second], name)
    return Claim(first=first, second=second, protocol=name, words=words, by_log=by_log, by_scene=by_scene)


def scores_table(tables: dict[str, ScoreTable], summaries: Summaries, name: str) -> Table:
    """Mean score with both intervals and mean sub-scores in points (0 to 100), one row per agent."""
    one_traffic(tables.values())
    rules = protocol(name)
    shorts = {metric.name: metric.short for metric in (*rules.metrics, *filter(None, [rules.two_frame]))}
    table = Table(
        title=f"{rules.title}, points", title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for head in ("agent", "score", "95% scenes", "95% logs", *shorts.values()):
        table.add_column(head, justify="left" if head == "agent" else "right", no_wrap=True)
    for label in tables:
        found = summaries[label][name]
        means = [_mean(found, column) for column in subscores(name)]
        table.add_row(
            label, f"{100 * found.score.mean:.1f}", _points(found.score.by_scene), _points(found.score.by_log), *means
        )
    one = next(iter(tables.values()))
    logs = one.of(name)["log_name"].n_unique()
    table.caption = f"{one.meta.coverage()}, {logs} logs"
    return table


def claims_table(claims: Sequence[Claim]) -> Table:
    """Paired differences with their intervals, and whether each claim holds."""
    table = Table(
        title="paired differences, points",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for head in ("claim", "rules", "difference", "95 % over scenes", "95 % over logs", ""):
        table.add_column(head, justify="right" if head.startswith(("diff", "95")) else "left")
    for one in claims:
        verdict = "holds" if one.holds else "DOES NOT HOLD"
        table.add_row(
            one.words,
            one.protocol,
            f"{100 * one.by_log.mean:+.1f}",
            _points(one.by_scene),
            _points(one.by_log),
            verdict,
        )
    return table


def distribution_table(tables: dict[str, ScoreTable], name: str) -> Table:
    """Share of scenes per range of the score, one row per agent, with mean and quartiles."""
    title = f"share of scenes by score, {name}, traffic {one_traffic(tables.values())}"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in ("agent", *BINS, "mean", "quartiles"):
        table.add_column(head, justify="left" if head == "agent" else "right", no_wrap=True)
    for label, scores in tables.items():
        values = scores.of(name)["score"].to_numpy()
        quartiles = " ".join(f"{q:.2f}" for q in np.quantile(values, [0.25, 0.5, 0.75]))
        table.add_row(label, *(f"{100 * s:.0f} %" for s in shares(values)), f"{values.mean():.3f}", quartiles)
    return table


def shares(values: np.ndarray) -> list[float]:
    """Share of values in each bin of `EDGES`."""
    return (np.histogram(values, bins=EDGES)[0] / len(values)).tolist()


def to_json(tables: dict[str, ScoreTable], summaries: Summaries, claims: Sequence[Claim]) -> dict[str, Any]:
    """Plain values of all of the above."""
    return {
        "agents": {
            label: {
                name: {
                    "score": summary.score.mean,
                    "interval_over_scenes": [summary.score.by_scene.low, summary.score.by_scene.high],
                    "interval_over_logs": [summary.score.by_log.low, summary.score.by_log.high],
                    "shares": dict(zip(BINS, shares(table.of(name)["score"].to_numpy()), strict=True)),
                }
                for name, summary in summaries[label].items()
            }
            for label, table in tables.items()
        },
        "claims": [
            {
                "claim": one.words,
                "protocol": one.protocol,
                "difference": one.by_log.mean,
                "interval_over_scenes": [one.by_scene.low, one.by_scene.high],
                "interval_over_logs": [one.by_log.low, one.by_log.high],
                "holds": one.holds,
            }
            for one in claims
        ],
    }


def _mean(summary: ProtocolSummary, column: str) -> str:
    own = summary.get(column)
    return "" if own is None else f"{100 * own.mean:.1f}"


def _points(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "n/a"
    return f"{100 * interval.low:.1f}..{100 * interval.high:.1f}"

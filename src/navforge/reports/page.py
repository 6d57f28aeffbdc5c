"""The report: one HTML file with everything inside, made from results that are already computed."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2

from navforge.core.errors import DataError
from navforge.core.files import write_text
from navforge.evaluation.summary import ProtocolSummary, compare, summarise
from navforge.evaluation.tables import ScoreTable, one_traffic
from navforge.reports.figures.curves import score_intervals
from navforge.reports.figures.style import legend
from navforge.scoring.metrics import EXTENDED_COMFORT, METRICS_V1, METRICS_V2
from navforge.scoring.protocols import protocol
from navforge.statistics.intervals import Interval

SHORT = {metric.name: metric.short for metric in (*METRICS_V1, *METRICS_V2, EXTENDED_COMFORT)}


@dataclass(frozen=True, kw_only=True)
class AgentScores:
    """One agent's score table."""

    label: str
    table: ScoreTable
    note: str = ""
    """A remark shown below the name, such as what was blanked."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired difference to print: mean score of `first` minus `second` over the same scenes."""

    first: str
    second: str
    claim: str = ""
    """What it shows, such as "beats constant velocity"."""


@dataclass(frozen=True, kw_only=True)
class ScenePicture:
    """One scene: pictures beside each other, and the numbers below."""

    token: str
    log_name: str
    reason: str
    bev: bytes
    """PNG or JPEG."""
    camera: bytes | None
    """PNG or JPEG; None where the split has no sensor files."""
    protocol: str
    scores: tuple[tuple[str, float, dict[str, float | None]], ...] = ()
    """(label, score, sub-scores by column) of the trajectories drawn."""


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Learning curves of one training run."""

    title: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything on the page."""

    title: str
    subtitle: str = ""
    agents: tuple[AgentScores, ...]
    """In the order of the table; all on the same scenes."""
    headline: str
    """Protocol of the comparisons and the chart."""
    comparisons: tuple[Comparison, ...] = ()
    curves: tuple[Curves, ...] = ()
    scenes: tuple[ScenePicture, ...] = ()
    provenance: tuple[tuple[str, str], ...] = ()
    """Rows of the last table: commit, command, versions, durations."""


def write_report(path: Path | str, data: ReportData) -> None:
    """Write the page atomically.

    Raises:
        DataError: no agents, repeated labels, a comparison of an unknown agent, tables of different scenes, or an
            image that is neither PNG nor JPEG.
    """
    write_text(path, render_report(data))


def render_report(data: ReportData) -> str:
    """The page as text."""
    labels = [agent.label for agent in data.agents]
    if not labels or len(set(labels)) != len(labels):
        raise DataError(f"a report needs agents with different labels, got {', '.join(labels) or 'none'}")
    one_traffic(agent.table for agent in data.agents)
    summaries = {agent.label: summarise(agent.table) for agent in data.agents}
    return render(
        "page.html.j2",
        data=data,
        coverage=_coverage(data.agents),
        tables=[_score_table(data.agents, summaries, name) for name in _protocols(data.agents, data.headline)],
        chart=_chart(data.agents, summaries, data.headline),
        headline=protocol(data.headline),
        comparisons=[_comparison(data, item) for item in data.comparisons],
        legend=legend(),
        scenes=[_scene(item) for item in data.scenes],
    )


def render(template: str, **values: object) -> str:
    """A template of this folder, filled; the style sheet of all pages is `css` in it."""
    folder = resources.files("navforge.reports")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    compiled = environment.from_string(folder.joinpath(template).read_text(encoding="utf-8"))
    return compiled.render(css=folder.joinpath("page.css").read_text(encoding="utf-8"), **values)


@dataclass(frozen=True)
class _Cell:
    text: str
    detail: str = ""


@dataclass(frozen=True)
class _Table:
    name: str
    title: str
    filtered: str
    heads: tuple[tuple[str, str], ...]
    """(abbreviation, full name)"""
    rows: tuple[tuple[AgentScores, tuple[_Cell, ...]], ...]


def _coverage(agents: Sequence[AgentScores]) -> list[str]:
    """Scenes behind the numbers; one line where all agents share them."""
    lines: list[str] = []
    for agent in agents:
        line = agent.table.meta.coverage()
        if line not in lines:
            lines.append(line)
    return lines


def _protocols(agents: Sequence[AgentScores], headline: str) -> list[str]:
    """The headline protocol, then the others any table holds."""
    names = [headline]
    for agent in agents:
        names += [name for name in agent.table.meta.protocols if name not in names]
    return names


def _score_table(agents: Sequence[AgentScores], summaries: dict[str, dict[str, ProtocolSummary]], name: str) -> _Table:
    present = [agent for agent in agents if name in summaries[agent.label]]
    if not present:
        raise DataError(f"no agent of the report was scored under {name}")
    found = {agent.label: summaries[agent.label][name] for agent in present}
    columns = list(dict.fromkeys(c.column for s in found.values() for c in s.columns if c.column != "progress_m"))
    rows = tuple((agent, tuple(_cell(found[agent.label], column) for column in columns)) for agent in present)
    filters = {"human filter on" if summary.human_filter else "human filter off" for summary in found.values()}
    heads = [(SHORT.get(column, "score"), column.replace("_", " ")) for column in columns]
    return _Table(name, protocol(name).title, ", ".join(sorted(filters)), tuple(heads), rows)


def _cell(summary: ProtocolSummary, column: str) -> _Cell:
    own = summary.get(column)
    return _Cell("–") if own is None else _Cell(f"{100 * own.mean:.1f}", _span(own.by_log))


def _span(interval: Interval) -> str:
    """An interval in percent."""
    if interval.low is None or interval.high is None:
        return "one log"
    return f"{100 * interval.low:.1f} – {100 * interval.high:.1f}"


def _chart(agents: Sequence[AgentScores], summaries: dict[str, dict[str, ProtocolSummary]], name: str) -> str:
    rows = []
    for agent in agents:
        if name in summaries[agent.label]:
            score = summaries[agent.label][name].score
            low, high = score.by_log.low, score.by_log.high
            bounds = (None, None) if low is None or high is None else (100 * low, 100 * high)
            rows.append((agent.label, 100 * score.mean, *bounds))
    return score_intervals(rows)


def _comparison(data: ReportData, item: Comparison) -> dict[str, object]:
    agents = {agent.label: agent for agent in data.agents}
    for label in (item.first, item.second):
        if label not in agents:
            raise DataError(f"a comparison names {label!r}; the report has {', '.join(agents)}")
    by_log, by_scene = compare(agents[item.first].table, agents[item.second].table, data.headline)
    clear = by_log.low is not None and by_log.high is not None and (by_log.low > 0 or by_log.high < 0)
    return {
        "first": item.first,
        "second": item.second,
        "claim": item.claim,
        "mean": f"{100 * by_log.mean:+.1f}",
        "scenes": _signed(by_scene),
        "logs": _signed(by_log),
        "count": by_scene.scenes,
        "log_count": by_log.clusters,
        "clear": clear,
    }


def _signed(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return "n/a"
    return f"{100 * interval.low:+.1f} … {100 * interval.high:+.1f}"


def _scene(scene: ScenePicture) -> dict[str, object]:
    columns = list(dict.fromkeys(name for _, _, parts in scene.scores for name in parts))
    return {
        "token": scene.token,
        "log": scene.log_name,
        "reason": scene.reason,
        "protocol": scene.protocol,
        "bev": embedded(scene.bev, f"BEV of scene {scene.token}"),
        "camera": None if scene.camera is None else embedded(scene.camera, f"camera of scene {scene.token}"),
        "columns": [(SHORT.get(name, name), name.replace("_", " ")) for name in columns],
        "rows": [
            (label, f"{100 * score:.1f}", [_share(parts.get(name)) for name in columns])
            for label, score, parts in scene.scores
        ],
    }


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f}"


def embedded(image: bytes, what: str) -> str:
    """A data URI."""
    for magic, kind in ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg")):
        if image.startswith(magic):
            return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"
    raise DataError(f"{what} is neither PNG nor JPEG")

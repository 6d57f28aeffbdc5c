"""The page holds every number with its protocol, is self-contained, and opens in a browser without complaint."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from navforge.core.errors import DataError
from navforge.evaluation.summary import summarise
from navforge.reports.figures import CHOSEN, HUMAN, Trajectory, draw_bev, draw_camera, learning_curves
from navforge.reports.page import AgentScores, Comparison, Curves, ReportData, ScenePicture, render_report, write_report
from tests.reports import report_scene
from tests.reports.browser import CHROMIUM, open_page
from tests.reports.test_figures import LEFT, METRICS, camera


def report(tmp_path: Path, missing: int = 0) -> ReportData:
    (tmp_path / "metrics.csv").write_text(METRICS)
    plans = [Trajectory("hydra", LEFT, CHOSEN), Trajectory("human", report_scene.human(), HUMAN)]
    random = np.random.default_rng(0)
    image = np.repeat(random.integers(60, 120, (270, 1, 3), dtype=np.uint8), 480, axis=1)
    scenes = tuple(
        ScenePicture(
            token=f"{number:016x}",
            log_name="log0",
            reason="left turn",
            bev=draw_bev(report_scene.scene(), plans),
            camera=draw_camera(image, camera(), plans) if number else None,
            protocol="epdms_v2",
            scores=(("hydra", 0.9, {"no_at_fault_collisions": 1.0, "ego_progress": None}), ("human", 1.0, {})),
        )
        for number in range(2)
    )
    return ReportData(
        title="navforge <demo>",
        subtitle="one & two",
        agents=(
            AgentScores(label="constant velocity", table=report_scene.table(0.4, missing=missing)),
            AgentScores(label="hydra_mdp_tiny", table=report_scene.table(0.8, missing=missing), note="2 epochs"),
        ),
        headline="pdms_v1",
        comparisons=(Comparison(first="hydra_mdp_tiny", second="constant velocity", claim="beats it"),),
        curves=(Curves(title="hydra", svg=learning_curves(tmp_path / "metrics.csv")),),
        scenes=scenes,
        provenance=(("commit", "abc123"),),
    )


class Page(HTMLParser):
    """Tags opened, references made, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.words: list[str] = []
        self.depth: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "img", "br"):
            self.depth.append(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.depth.pop() == tag, f"unbalanced {tag}"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_page_is_well_formed_and_self_contained(tmp_path: Path) -> None:
    text = render_report(report(tmp_path))
    page = Page(text)
    assert not page.depth
    outside = [r for r in page.references if not r.startswith(("data:", "#"))]
    assert outside == []
    assert not re.search(r"@import|url\((?!#)", text)
    assert "navforge &lt;demo&gt;" in text
    images = [r for r in page.references if r.startswith("data:image/")]
    assert len(images) == 3
    for image in images:
        Image.open(io.BytesIO(base64.b64decode(image.partition(",")[2]))).load()


def test_numbers_match_the_tables_and_carry_their_protocol(tmp_path: Path) -> None:
    data = report(tmp_path)
    text = render_report(data)
    for agent in data.agents:
        for name in ("pdms_v1", "epdms_v2"):
            assert f">{100 * agent.table.of(name)['score'].mean():.1f}<" in text
    first, second = (agent.table.of("pdms_v1")["score"].mean() for agent in data.agents)
    assert f"{100 * (second - first):+.1f}" in text
    tables = re.findall(r"<h3>.*?</table>", text, flags=re.S)
    assert all('class="stamp"' in table for table in tables[:2])
    words = " ".join(Page(text).words)
    assert "PDMS (NAVSIM v1.1)" in words
    assert "EPDMS (NAVSIM v2.2" in words
    assert "24 scenes of split test (ffffffffffffffff)" in words


def test_means_carry_intervals_over_logs_and_no_mark(tmp_path: Path) -> None:
    data = report(tmp_path)
    text = render_report(dataclasses.replace(data, scenes=(), comparisons=()))
    for agent in data.agents:
        interval = summarise(agent.table)["pdms_v1"].score.by_log
        assert interval.low is not None and interval.high is not None
        assert f"{100 * interval.low:.1f} – {100 * interval.high:.1f}" in text
    assert not re.search(r'class="[^"]*best', text)
    assert "<strong>" not in text and "<b>" not in text


def test_missing_scenes_are_said_loudly(tmp_path: Path) -> None:
    text = render_report(report(tmp_path, missing=3))
    assert 'class="warn"' in text
    assert "3 scenes (list eeeeeeeeeeeeeeee) MISSING" in text


def test_contradictions_are_refused(tmp_path: Path) -> None:
    data = report(tmp_path)
    with pytest.raises(DataError, match="different labels"):
        render_report(ReportData(title="x", agents=data.agents[:1] * 2, headline="pdms_v1"))
    with pytest.raises(DataError, match="different labels"):
        render_report(ReportData(title="x", agents=(), headline="pdms_v1"))
    with pytest.raises(DataError, match="comparison names 'x'"):
        render_report(
            ReportData(
                title="x", agents=data.agents, headline="pdms_v1", comparisons=(Comparison(first="x", second="y"),)
            )
        )
    other = AgentScores(label="other", table=report_scene.table(0.5, scenes=20))
    with pytest.raises(DataError, match="different scenes"):
        render_report(
            ReportData(
                title="x",
                agents=(data.agents[0], other),
                headline="pdms_v1",
                comparisons=(Comparison(first="other", second="constant velocity"),),
            )
        )
    with pytest.raises(DataError, match="no agent of the report was scored under epdms_v2_before_fix"):
        render_report(ReportData(title="x", agents=data.agents, headline="epdms_v2_before_fix"))


def test_write_report_is_one_file(tmp_path: Path) -> None:
    write_report(tmp_path / "page" / "index.html", report(tmp_path))
    assert [p.name for p in (tmp_path / "page").iterdir()] == ["index.html"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_opens_in_a_browser(tmp_path: Path) -> None:
    found = open_page(render_report(report(tmp_path)), tmp_path)
    assert "failed" not in found
    assert found["images"] == found["decoded"] == "3"
    assert found["requests"] == "0"
    assert int(found["wide"]) <= 0, "the page scrolls sideways on a laptop"

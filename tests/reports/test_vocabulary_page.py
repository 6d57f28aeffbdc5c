"""The page and figures of a vocabulary: whole, self-contained, the same bytes every time."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from navforge.reports.figures.vocabulary import draw_fan, error_by_speed, oracle_scores, speeds_and_ends
from navforge.reports.vocabulary_page import WorstScene, vocabulary_page, write_vocabulary_page
from navforge.reports.vocabulary_report import VocabularyReport
from navforge.reports.vocabulary_tables import percent, sections
from navforge.vocabulary.limits import Motion
from tests.reports.test_page import Page
from tests.reports.test_vocabulary_report import VOCABULARY, full
from tests.vocabulary.moves import arc, straight


def test_fan_shows_entries_where_they_go() -> None:
    """Straight ahead and to the left; nothing to the right."""
    left = np.stack([straight(speed) for speed in (2.0, 9.0)] + [arc(speed, 0.3) for speed in (4.0, 5.0, 6.0)])
    image = np.asarray(Image.open(io.BytesIO(draw_fan(Motion(left)))).convert("RGB")).astype(int)
    assert image.shape[1] == 1190 and image.std() > 5
    mirrored = left * np.array([1, -1, -1], np.float32)
    other = np.asarray(Image.open(io.BytesIO(draw_fan(Motion(mirrored)))).convert("RGB")).astype(int)
    assert image.shape == other.shape

    def colourful(picture: np.ndarray, part: slice) -> int:
        body = picture[60:-80, part]
        return int((body.max(axis=2) - body.min(axis=2) > 40).sum())

    west, east = slice(60, 280), slice(300, 520)
    assert colourful(image, west) > 3 * colourful(image, east)
    assert colourful(other, east) > 3 * colourful(other, west)
    assert draw_fan(Motion(left)) == draw_fan(Motion(left))


@pytest.mark.parametrize("entries", [VOCABULARY.poses[:1], VOCABULARY.poses], ids=["one standing", "six"])
def test_any_vocabulary_is_drawn(entries: np.ndarray) -> None:
    motion = Motion(entries)
    assert draw_fan(motion).startswith(b"\x89PNG")
    ElementTree.fromstring(speeds_and_ends(motion))


def test_charts_are_svg_in_the_page_s_ink() -> None:
    report = full()
    assert report.human is not None and report.oracle is not None
    for svg in (
        speeds_and_ends(report.motion, report.human.motion),
        error_by_speed(report.human.quantisation, report.human.motion.mean_speed, 5.0),
        oracle_scores(report.oracle, 6),
    ):
        ElementTree.fromstring(svg)
        assert "currentColor" in svg and "#123456" not in svg
    assert "top speed of the entries" in error_by_speed(report.human.quantisation, report.human.motion.mean_speed, 10.0)


def test_page_holds_every_number_and_fetches_nothing(tmp_path: Path) -> None:
    report = full()
    scene = WorstScene(token="c", log_name="log <1>", score=0.0, entry=0, bev=draw_fan(report.motion))
    write_vocabulary_page(tmp_path / "out" / "report.html", report, worst=[scene], provenance=[("commit", "abc123")])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    text = (tmp_path / "out" / "report.html").read_text()
    words = Page(text).words
    for section in sections(report):
        assert section.title in words
        for row in section.rows:
            assert all(cell in words for cell in row if cell), row
    assert "log &lt;1&gt;" in text and "abc123" in text and report.vocabulary.fingerprint in text
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", re.sub(r"xlink:href=\"#", "", text))
    assert text == vocabulary_page(report, worst=[scene], provenance=[("commit", "abc123")])


def test_page_without_split_and_store_says_so() -> None:
    text = vocabulary_page(VocabularyReport(name="x.npy", vocabulary=VOCABULARY))
    assert text.count('class="warn"') == 2 and "give split=NAME" in text
    assert "Oracle" not in text and "Quantisation" not in text


def test_tables_say_what_the_best_entry_loses() -> None:
    worst = next(section for section in sections(full()) if section.title == "Worst scenes")
    assert worst.rows[0] == ("c", "0.00", "0", "4", "0.00", "DAC 0")
    assert all(len(row) == len(section.heads) for section in sections(full()) for row in section.rows)


def test_small_shares_are_not_rounded_away() -> None:
    assert [percent(share) for share in (0.0, 1e-6, 12 / 8192, 0.145, 1.0)] == [
        "0.0 %", "< 0.01 %", "0.15 %", "14.5 %", "100.0 %",
    ]  # fmt: skip

"""The page of a vocabulary: one HTML file with its figures, its numbers and its worst scenes inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from navforge.core.files import write_text
from navforge.metric_cache.scene import CachedScene
from navforge.metric_cache.store import MetricCache
from navforge.reports.figures import BEST, HUMAN, Trajectory, draw_bev
from navforge.reports.figures.style import legend
from navforge.reports.figures.vocabulary import draw_fan, error_by_speed, oracle_scores, speeds_and_ends
from navforge.reports.page import embedded, render
from navforge.reports.vocabulary_report import VocabularyReport
from navforge.reports.vocabulary_tables import sections
from navforge.vocabulary.vocabulary import Vocabulary

_NOT_SHOWN = ("chosen plan",)


@dataclass(frozen=True, kw_only=True)
class WorstScene:
    """A scene no entry scores well in."""

    token: str
    log_name: str
    score: float
    """Of its best entry, in [0, 1]."""
    entry: int
    bev: bytes
    """PNG: the human trajectory and the best entry."""


def write_vocabulary_page(
    path: Path | str,
    report: VocabularyReport,
    *,
    worst: Sequence[WorstScene] = (),
    provenance: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page atomically.

    Args:
        path: HTML file.
        report: the numbers.
        worst: pictures of the worst scenes.
        provenance: rows of the last table: commit, command, versions.
    """
    write_text(path, vocabulary_page(report, worst=worst, provenance=provenance))


def vocabulary_page(
    report: VocabularyReport, *, worst: Sequence[WorstScene] = (), provenance: Sequence[tuple[str, str]] = ()
) -> str:
    """The page as text."""
    human = report.human
    figures = {
        "Limits": (
            speeds_and_ends(report.motion, None if human is None else human.motion),
            "Histograms of mean speed, lateral offset and turn of the entries",
        )
    }
    if human is not None:
        figures["Quantisation error"] = (
            error_by_speed(human.quantisation, human.motion.mean_speed, report.limits.top_speed_mps),
            "Displacement error against speed, and its distribution",
        )
    if report.oracle is not None:
        figures["Oracle"] = (
            oracle_scores(report.oracle, report.vocabulary.size),
            "Histogram of the best scores, and how many entries come near them",
        )
    nothing = ("", "")
    return render(
        "vocabulary.html.j2",
        title=f"Vocabulary {report.name}",
        subtitle=f"{report.vocabulary.size:,} trajectories of 4 s at 10 Hz",
        fingerprint=report.vocabulary.fingerprint,
        left_out=report.left_out,
        fan=embedded(draw_fan(report.motion), "the fan of entries"),
        parts=[(section, *figures.get(section.title, nothing)) for section in sections(report)],
        pictures=[
            {
                "token": scene.token,
                "log": scene.log_name,
                "score": f"{100 * scene.score:.1f}",
                "entry": scene.entry,
                "image": embedded(scene.bev, f"scene {scene.token}"),
            }
            for scene in worst
        ],
        legend=[row for row in legend() if row[0] not in _NOT_SHOWN],
        provenance=provenance,
    )


def worst_scenes(report: VocabularyReport, cache: MetricCache) -> tuple[WorstScene, ...]:
    """Pictures of the scenes the report names as worst.

    Args:
        report: one with an oracle, or there are none.
        cache: metric cache the teacher store was made from.

    Raises:
        DataError: the cache lacks a scene.
    """
    oracle = report.oracle
    if oracle is None:
        return ()
    pictures = []
    for row in report.worst:
        cached = cache.load(oracle.tokens[row])
        entry = int(oracle.entry[row])
        pictures.append(
            WorstScene(
                token=cached.token,
                log_name=cached.log_name,
                score=float(oracle.best[row]),
                entry=entry,
                bev=draw_bev(cached, _drawn(cached, report.vocabulary, entry)),
            )
        )
    return tuple(pictures)


def _drawn(cached: CachedScene, vocabulary: Vocabulary, entry: int) -> list[Trajectory]:
    lines = [Trajectory(f"entry {entry}", vocabulary.poses[entry].astype(np.float64), BEST)]
    if cached.human_poses is not None:
        lines.append(Trajectory("human", cached.human_poses, HUMAN))
    return lines

"""`navforge demo`: end to end on a built-in synthetic world, from logs to a trained, scored and reported planner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from navforge.cli import study_report, study_run
from navforge.cli.demo_plan import (
    AGENTS,
    BASELINE,
    BLANKED,
    HEADLINE,
    PLANNER,
    PROTOCOLS,
    folder,
    report_path,
    stages,
)
from navforge.cli.keys.demo import SCALES, Config
from navforge.cli.keys.study_report import Config as StudyReportConfig
from navforge.cli.keys.study_run import Config as StudyRunConfig
from navforge.core import provenance
from navforge.core.errors import NavforgeError
from navforge.core.files import write_json
from navforge.core.stages import run_stages, timing_table
from navforge.evaluation import comparison, summary, tables
from navforge.evaluation.comparison import Claim
from navforge.evaluation.folder import SCORES
from navforge.evaluation.tables import ScoreTable


def run(config: Config) -> int:
    """Run every stage that is not done, then print what came out; or a study, and its verdicts.

    Raises:
        NavforgeError: at a scale that should show it, the planner did not do what the demo claims; the report is there.
    """
    if config.study != "none":
        return _run_study(Path(f"town_{config.study}"), config.out / f"study_{config.study}")
    console = summary.console()
    provenance.record(config.out, config, name="demo")
    timings = run_stages(stages(config), config.out / "stages", console)
    score_tables = {label: tables.read(config.out / "evaluation" / folder(label) / SCORES) for label in AGENTS}
    claims = check_claims(score_tables)
    summaries = {label: summary.summarise(table) for label, table in score_tables.items()}
    write_json(config.out / "comparison.json", comparison.to_json(score_tables, summaries, claims))
    console.print(
        comparison.distribution_table({name: score_tables[name] for name in ("constant_velocity", "human")}, HEADLINE)
    )
    for name in PROTOCOLS:
        console.print(comparison.scores_table(score_tables, summaries, name))
    console.print(comparison.claims_table(claims))
    _print_camera_check(claims, console)
    console.print(timing_table(timings))
    console.print(f"report: {report_path(config.out)}", soft_wrap=True)
    if SCALES[config.scale].proves:
        require(claims)
    console.print("next, a study of labels with three seeds: navforge demo study=labels", soft_wrap=True)
    return 0


def _run_study(study: Path, out: Path) -> int:
    """What is missing of a study, then its report if all is there."""
    status = study_run.run(StudyRunConfig(study=study, out=out))
    if status == 0:
        study_report.run(StudyReportConfig(study=study, out=out))
    return status


def check_claims(found: dict[str, ScoreTable]) -> list[Claim]:
    """What the demo sets out to show, tested on its own score tables."""
    pairs = (
        (PLANNER, "constant_velocity", f"{PLANNER} beats constant velocity"),
        (PLANNER, BASELINE, f"{PLANNER} beats {BASELINE}"),
        (PLANNER, BLANKED, f"{PLANNER} needs its camera"),
        ("human", PLANNER, f"the human beats {PLANNER}"),
    )
    return [comparison.claim(found, *pair[:2], name, pair[2]) for name in PROTOCOLS for pair in pairs]


def require(claims: Sequence[Claim]) -> None:
    """Raise NavforgeError naming what the planner was to show under the headline rules and did not."""
    failed = [one for one in claims if one.protocol == HEADLINE and one.first == PLANNER and not one.holds]
    if failed:
        named = "; ".join(f"{one.words}: {100 * one.by_log.mean:+.1f} points" for one in failed)
        raise NavforgeError(
            f"DEMO FAILED: under {HEADLINE} it is NOT shown (95 % over logs) that {named}; everything is written, "
            "the report says the same"
        )


def _print_camera_check(claims: list[Claim], console: Console) -> None:
    for one in claims:
        if one.second == BLANKED:
            low, high = (100 * (bound or 0.0) for bound in (one.by_log.low, one.by_log.high))
            verdict = "the planner uses its camera" if one.holds else "NOT SHOWN that the planner uses its camera"
            console.print(
                f"camera check, {one.protocol}: blanking the camera costs {100 * one.by_log.mean:.1f} points "
                f"(95 % over logs {low:.1f} .. {high:.1f}): {verdict}"
            )

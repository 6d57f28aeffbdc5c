"""Names of the files in the folder of an evaluation."""

from __future__ import annotations

from pathlib import Path

SCORES, PLANS, RESULT, FAILURES = "scores.parquet", "plans.npz", "summary.json", "failures.json"
METRICS = "metrics.parquet"


def metrics_beside(scores: Path) -> Path:
    """What is measured beside the scores of a table: `METRICS` in an evaluation's folder, else NAME.metrics.parquet."""
    return scores.with_name(METRICS if scores.name == SCORES else f"{scores.stem}.{METRICS}")

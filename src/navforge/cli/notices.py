"""What a user should know of a split before its numbers are used, and of a build after it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from navforge.core.build import Report
from navforge.core.failures import describe_failures
from navforge.core.screen import say
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split


def warn(split: Split) -> None:
    """Print what the split lacks, and what is implausible about its scenes, on standard error."""
    missing = [split.describe_missing()] if not split.complete else []
    for text in missing + split.describe_doubts():
        say(f"navforge: warning: {text}", file=sys.stderr)


def load_splits(names: Sequence[str], data: DataConfig, *, allow_missing: bool, workers: int) -> list[Split]:
    """Load splits and warn of each; raises what `load_split` raises."""
    splits = [load_split(name, data, allow_missing=allow_missing, workers=workers) for name in names]
    for split in splits:
        warn(split)
    return splits


def print_report(report: Report[Any], otherwise: str = "") -> None:
    """Print what a build did, and which scenes it left out.

    Args:
        report: of the build.
        otherwise: a remedy for failures besides removing their causes.

    Raises:
        DataError: the product is not complete; names the causes.
    """
    say(report.describe())
    if not report.complete:
        raise report.error(otherwise)
    if report.failures:
        causes = describe_failures(report.failures)
        say(f"navforge: warning: left out {report.failed_scenes} scenes that failed:\n{causes}", file=sys.stderr)

"""`navforge cache`: build or update the metric cache of a split."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from navforge.cache_builder.pool import CacheReport, cache_split, require_same_scenes
from navforge.cli.notices import warn
from navforge.core import provenance
from navforge.core.config import key
from navforge.core.errors import DataError
from navforge.core.failures import FAILURES, describe_failures
from navforge.core.products import CACHE, claim
from navforge.core.screen import say
from navforge.data.paths import DataConfig
from navforge.data.plausibility import Doubt
from navforge.data.splits import load_split
from navforge.maps.geopackage import check_root

SELF_CHECK = True

_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge cache`."""

    split: str = key(help="folder name under data.logs, or path of a scene-filter YAML")
    out: Path = key(help="folder of the cache; files in it that are up to date are kept")
    data: DataConfig = key(DataConfig)
    workers: int = key(0, "processes; 0: one per CPU", low=0)
    allow_missing: bool = key(
        False, "leave out scenes that are not on disk or cannot be cached; results computed on them say so"
    )


def run(config: Config) -> None:
    """Cache every scene of the split; raise DataError if any failed.

    The folder of maps is looked at first: a wrong one is found before any log is read.
    """
    check_root(config.data.map_root())
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    if not config.allow_missing or set(split.doubts.get(Doubt.UNANNOTATED, ())) == set(split.tokens):
        split.require_annotations()
    warn(split)
    with claim(config.out, CACHE):
        require_same_scenes(config.out, split)
        provenance.record(config.out, config, name="cache")
        report = cache_split(split, config.data, config.out, workers=config.workers, allow_missing=config.allow_missing)
    say(describe(report, config.out))
    if report.failures and not (config.allow_missing and report.complete):
        raise DataError(
            f"{len(report.failures)} of {len(split)} scenes of split {split.name} could not be cached "
            f"(tracebacks: {config.out / FAILURES}):\n{describe_failures(report.failures)}\n"
            f"the cache is not complete and cannot be opened; {_remedy(report, config)}"
        )
    if report.failures:
        causes = describe_failures(report.failures)
        say(f"warning: left out {len(report.failures)} scenes that failed:\n{causes}", file=sys.stderr)


def describe(report: CacheReport, out: Path) -> str:
    """What a run did, in words: counts, seconds and bytes per scene, and why old files were not kept."""
    built, reused = report.scenes(reused=False), report.scenes(reused=True)
    lines = [f"{out}: {built} scenes built, {reused} reused, {len(report.failures)} failed in {report.seconds:.1f} s"]
    if built:
        lines.append(f"{report.build_seconds / built:.3f} core seconds per scene built")
    if built + reused:
        lines.append(f"{report.bytes / (built + reused):.0f} bytes per scene on disk")
    rebuilt = [outcome for outcome in report.outcomes if outcome.reason not in ("", "new")]
    lines += [f"rebuilt {outcome.log_name}: {outcome.reason}" for outcome in rebuilt[:_LISTED]]
    if len(rebuilt) > _LISTED:
        lines.append(f"and {len(rebuilt) - _LISTED} more logs rebuilt")
    return "\n".join(lines)


def _remedy(report: CacheReport, config: Config) -> str:
    """What to do about failed scenes; to leave them out does not help where the disk is full."""
    full = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
    if any(text in failure.error for failure in report.failures for text in full):
        return f"make room on the disk of {config.out.absolute()} and run the command again"
    leave_out = "" if config.allow_missing else ", or leave these scenes out with allow_missing=true"
    return f"remove the causes and run the command again{leave_out}"

"""`navforge cache`: build or update the metric cache of a split."""

from __future__ import annotations

from navforge.cache_builder.pool import cache_split
from navforge.cli.keys.cache import Config
from navforge.cli.notices import print_report, warn
from navforge.core import provenance
from navforge.core.products import CACHE, claim
from navforge.data.plausibility import Doubt
from navforge.data.splits import load_split
from navforge.maps.geopackage import check_root


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
        report = cache_split(
            split,
            config.data,
            config.out,
            workers=config.workers,
            allow_missing=config.allow_missing,
            executor=config.pick_executor(),
        )
        if report.complete:
            provenance.record(config.out, config, name="cache")
    leave_out = "" if config.allow_missing else ", or leave these scenes out with allow_missing=true"
    print_report(report, leave_out)

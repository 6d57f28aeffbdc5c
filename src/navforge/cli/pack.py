"""`navforge pack`: what a planner reads of a split, written once into a store that training reads from."""

from __future__ import annotations

from navforge.cli.keys.pack import Config
from navforge.cli.notices import load_splits, print_report
from navforge.core import provenance
from navforge.core.products import INPUTS, claim
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.pack import pack


def run(config: Config) -> None:
    """Write or finish the store and say what it holds."""
    names = [config.split] if config.val_split is None else [config.split, config.val_split]
    splits = load_splits(names, config.data, allow_missing=config.allow_missing, workers=config.workers)
    with claim(config.out, INPUTS):
        report = pack(
            splits,
            InputSpec.of(config.planner),
            config.data,
            config.out,
            workers=config.workers,
            executor=config.pick_executor(),
        )
        if report.complete:
            provenance.record(config.out, config, name="pack", classes=config.planner.classes)
    print_report(report)

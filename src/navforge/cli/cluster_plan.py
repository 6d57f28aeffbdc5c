"""`navforge cluster plan`: where a run would end first, the wait in the queue included."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from navforge.cli.jobs import default_root
from navforge.cli.keys.cluster_plan import Config
from navforge.cluster_plan import queue
from navforge.cluster_plan.plan import Option, Work, options
from navforge.cluster_plan.predict import Shape
from navforge.cluster_plan.speeds import Speed, of_report, read_records, without_same_setting
from navforge.cluster_plan.table import show, to_dict
from navforge.core.device import device_name, same_kind
from navforge.core.errors import DataError
from navforge.core.files import write_json
from navforge.core.screen import say, screen
from navforge.preflight import submission
from navforge.preflight.files import open_files
from navforge.preflight.finding import REFUSED
from navforge.slurm.profile import profiles, read_profile
from navforge.training.run_base import RunBase


def run(config: Config) -> None:
    """Print the plan."""
    work = _work(config.run.resolved())
    clusters = {name: read_profile(name) for name in config.clusters or profiles()}
    root = config.root or default_root()
    records = read_records(root)
    for reason in [*records.unused, *without_same_setting(records, work.config)]:
        say(f"not used: {reason}", file=sys.stderr)
    shapes = [Shape(*map(int, shape.split("x"))) for shape in config.shapes]
    slurm, now = queue.ask(), time.time()

    def plan(speeds: Sequence[Speed]) -> list[Option]:
        return options(work, clusters, shapes, speeds, slurm=slurm, now=now)

    ranked = plan(records.speeds)
    if config.probe and _measurable_here(work.config, ranked):
        ranked = plan([*records.speeds, *_measure(work.config)])
    if config.json is not None:
        write_json(config.json, [to_dict(option) for option in ranked])
    show(ranked, work, config.words, screen(), root=root, now=now)


def _work(config: RunBase) -> Work:
    """The run and how many scenes it takes.

    Raises:
        DataError: its split cannot be opened.
    """
    files = open_files(config)
    refused = [finding for finding in files.findings if finding.level == REFUSED]
    if files.examples is None:
        raise DataError("; ".join(f"{finding.message}; {finding.remedy}" for finding in refused))
    for finding in refused:
        say(f"navforge preflight would refuse: {finding.check}: {finding.message}", file=sys.stderr)
    return Work(config=config, scenes=files.examples, val_scenes=files.val_examples)


def _measurable_here(config: RunBase, ranked: Sequence[Option]) -> bool:
    """Whether this machine has a device whose speed is unknown."""
    kinds = {option.kind for option in ranked if option.rate.samples_per_s is None and option.place.refusal is None}
    if not kinds - {None}:
        return False
    here = device_name(config.train.accelerator)
    return any(kind is not None and same_kind(here, kind) for kind in kinds)


def _measure(config: RunBase) -> list[Speed]:
    """What a preflight on this machine measures of one rank."""
    report = submission.run(replace(config, nodes=1, devices=1))
    speeds = list(of_report(report.to_dict(), Path("preflight on this machine")))
    for finding in report.refused if not speeds else ():
        say(f"not measured here: {finding.check}: {finding.message}", file=sys.stderr)
    return speeds

"""`navforge encode`: the tokens of a planner's frozen encoder on a split, computed once into a store."""

from __future__ import annotations

import shutil

from navforge.cli.keys.encode import Config
from navforge.cli.notices import load_splits, print_report
from navforge.core import provenance
from navforge.core.build import Processes
from navforge.core.device import pick_device
from navforge.core.errors import DataError
from navforge.core.products import FEATURES, claim
from navforge.core.screen import say
from navforge.core.sizes import write_size
from navforge.features.encode import Plan, plan
from navforge.inputs.store import InputStore


def run(config: Config) -> None:
    """Write or finish the store and say what it holds."""
    names = [config.split] if config.val_split is None else [config.split, config.val_split]
    splits = load_splits(names, config.data, allow_missing=config.allow_missing, workers=config.workers)
    device = (
        pick_device(config.device)
        if config.executor == "local"
        else "cpu"
        if config.device == "auto"
        else config.device
    )
    with claim(config.out, FEATURES):
        planned = plan(
            splits,
            config.planner.resolved(),
            config.data,
            config.out,
            dtype=config.dtype,
            batch_size=config.batch_size,
            device=device,
            seed=config.seed,
            store=None if config.store is None else InputStore.open(config.store),
        )
        _require_room(planned, config)
        executor = config.pick_executor(Processes(1), gpus=1) if device == "cuda" else config.pick_executor()
        report = planned.build(executor, config.workers)
        if report.complete:
            provenance.record(config.out, config, name="encode", classes=config.planner.classes)
    print_report(report)


def _require_room(planned: Plan, config: Config) -> None:
    """Say how large the store will be; raise DataError if the disk has no room for what is missing of it."""
    present_bytes = sum(piece.path.stat().st_size for piece in planned.pieces if piece.path.exists())
    free = shutil.disk_usage(config.out).free
    length, width = planned.shape
    size = (
        f"{config.out}: {planned.split['scenes']} scenes with {length} tokens of width {width} in {config.dtype} take "
        f"{write_size(planned.bytes)}; the disk has {write_size(free)} free"
    )
    if planned.bytes - present_bytes > free:
        raise DataError(
            f"{size}; give an out= on another disk, a dtype= of two bytes, or an encoder that pools its tokens"
        )
    say(size, flush=True)

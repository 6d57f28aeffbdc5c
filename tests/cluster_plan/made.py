"""A run of tiny town, and run folders with recorded speeds of it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from navforge.cli.keys.cluster_plan import Config, configure
from navforge.runs import status
from navforge.runs.folder import RunFolder
from navforge.runs.status import Attempt
from navforge.training.ranks.heartbeat import HISTORY
from navforge.training.run_config import write_run_config

L40S, H200 = "NVIDIA L40S", "NVIDIA H200"


def words(town: Path) -> list[str]:
    """Keys of a run on tiny town's training split."""
    return [
        "agent=ego_mlp",
        "split=train",
        f"out={town.parent / 'new'}",
        f"cache={town / 'cache'}",
        f"data.logs={town / 'navsim_logs'}",
        "train.batch_size=1",
    ]


def plan_of(town: Path, *more: str) -> Config:
    """The plan of such a run with further keys."""
    given = {word.partition("=")[0] for word in more}
    return configure([*(word for word in words(town) if word.partition("=")[0] not in given), *more])


def record_run(path: Path, config: Config, device: str | None, nodes: int, devices: int, *rates: float) -> RunFolder:
    """A run folder that says how fast a run of this config was on a device."""
    folder = RunFolder(path)
    folder.describe(config.run.title, launch="slurm", nodes=nodes, devices=devices)
    write_run_config(folder.config, config.run)
    began = time.time() - 1000
    ranks = nodes * devices
    start = Attempt(attempt=0, job="7", world_size=ranks, time=began, resumed_step=0)
    if device is not None:
        start = replace(start, nodes=nodes, device=device)
    status.append_line(folder.attempts, start)
    rows = [f"{began + 10 * (i + 1):.1f},0,0,{i},{rate:.2f},0.0,0.5,1,1\n" for i, rate in enumerate(rates)]
    folder.history.write_text(HISTORY + f"{began + 1:.1f},0,0,0,,,,1,1\n" + "".join(rows))
    return folder

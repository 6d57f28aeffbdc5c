"""`navforge rank RUN`: one rank of a launched run. Batch scripts and `navforge train` call it; people do not."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from navforge.cli.keys.rank import Config
from navforge.runs.folder import RunFolder
from navforge.runs.signals import STATUS
from navforge.training.ranks.rank import leave, run_rank
from navforge.training.ranks.rank_info import RankInfo, from_environment

if TYPE_CHECKING:
    from navforge.training.run_base import RunBase


def run(config: Config) -> None:
    """Run the rank to its end; does not return."""
    folder = RunFolder(config.run)
    rank_info = from_environment()
    if rank_info.rank == 0 and rank_info.job is not None and folder.read_record().launch == "slurm":
        folder.add_job(rank_info.job)  # known already, unless the script was submitted by hand
    # A signal that comes when the rank has decided how it ends must not change its status.
    for number in STATUS:
        signal.signal(number, signal.SIG_IGN)
    leave(run_rank(folder, preflight=_preflight))


def _preflight(config: RunBase, rank_info: RankInfo) -> None:
    from navforge.preflight.node import on_node  # noqa: PLC0415 (imports torch: the ranks have to meet first)

    on_node(config, rank_info, os.environ).require()

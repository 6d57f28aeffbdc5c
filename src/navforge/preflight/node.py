"""The preflight of a rank, on its node, before it meets the others: seconds instead of a hang until the time limit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from navforge.preflight import disk, machine
from navforge.preflight.allocation import from_environment, visible_gpus
from navforge.preflight.checks import CHECKS
from navforge.preflight.context import PreflightContext
from navforge.preflight.finding import Finding, Report, join, ok, refused
from navforge.preflight.ranks import TASKS
from navforge.preflight.record import read_record
from navforge.training.ranks.rank_info import RankInfo
from navforge.training.run_base import RunBase

RANK_CHECKS = ("tasks", "placement", "srun", "gpus", "paths")
"""What every rank checks; the first of each node checks the rest too."""


def on_node(config: RunBase, rank_info: RankInfo, environ: Mapping[str, str]) -> Report:
    """Check again where a rank runs; the figures are those `preflight.json` of the run folder holds.

    Args:
        config: the run's.
        rank_info: the rank's.
        environ: its environment.

    Returns:
        The findings; `Report.require()` refuses. What the user accepted before submission is not refused here.
    """
    record = read_record(config.out)
    # Ranks that a launcher started by torchrun's variables are counted by it, whatever job they run in.
    allocation = None if "WORLD_SIZE" in environ else from_environment(environ)
    here = machine.of_node(allocation, config.devices)
    visible = visible_gpus(environ) if allocation is not None else machine.count_gpus()
    context = PreflightContext(
        config=config,
        machine=here,
        allocation=allocation,
        visible_gpus=visible,
        loader=record.loader,
        step=record.step,
        free_bytes=disk.free_bytes(config.out),
    )
    first = rank_info.local_rank == 0
    chosen = [check for check in CHECKS if check.on_node and (first or check.name in RANK_CHECKS)]
    findings = join([_ranks(config, rank_info), *(check.find(context) for check in chosen)])
    return Report(findings, {"node": rank_info.node}).accept(record.accepted)


def _ranks(config: RunBase, rank_info: RankInfo) -> Iterator[Finding]:
    """The rank_info against the run."""
    wanted, found = (config.nodes, config.devices), (rank_info.nodes, rank_info.devices)
    if wanted != found:
        yield refused(
            TASKS,
            f"the run is for {wanted[0]} nodes x {wanted[1]} ranks, started are {found[0]} x {found[1]}",
            f"--nodes={wanted[0]} --ntasks-per-node={wanted[1]}, or start the run again with nodes= and devices=",
        )
    else:
        yield ok(TASKS, f"rank {rank_info.rank} of {rank_info.world_size}")

"""The preflight of a rank on its node, under environments Slurm gave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from navforge.core.errors import DataError
from navforge.core.sizes import GIB
from navforge.preflight.context import PreflightContext
from navforge.preflight.finding import PreflightError, Report, refused
from navforge.preflight.machine import this_machine
from navforge.preflight.memory import LoaderCost
from navforge.preflight.node import on_node
from navforge.preflight.record import FILE, read_record, write_record
from navforge.preflight.steps import StepCost, StepSample
from navforge.training.ranks.rank_info import from_environment
from navforge.training.run_config import RunConfig

from .test_allocation import environment

TWO_BY_TWO = environment("""
    SLURM_JOB_ID=7 SLURM_PROCID=2 SLURM_LOCALID=0 SLURM_NODEID=1 SLURM_NTASKS=4 SLURM_NTASKS_PER_NODE=2
    SLURM_TASKS_PER_NODE=2(x2) SLURM_STEP_TASKS_PER_NODE=2(x2) SLURM_JOB_NODELIST=gl[001-002]
    SLURM_STEP_NODELIST=gl[001-002] SLURM_JOB_NUM_NODES=2 SLURM_CPUS_PER_TASK=4 SLURM_MEM_PER_NODE=16384
    SLURM_STEP_ID=0 SLURMD_NODENAME=gl002
""")
LOADER = LoaderCost(rank_bytes=GIB, worker_bytes=GIB // 2, example_bytes=1 << 20, examples_per_s=20)
STEP = StepCost(
    device="CPU",
    on_gpu=False,
    samples=(StepSample(batch_size=1, peak_bytes=1 << 28, seconds=0.1),),
    weight_bytes=4000,
    state_bytes=4000,
    trainable=1000,
    bound=(1e6, 2e6),
)


def checked(config: RunConfig, environ: dict[str, str]) -> Report:
    return on_node(config, from_environment(environ, hostname="gl002"), environ)


def levels(report: Report) -> dict[str, str]:
    return {finding.check: finding.level for finding in report.findings}


def test_a_sound_rank(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(nodes=2, devices=2)
    report = checked(config, TWO_BY_TWO)
    report.require()
    assert set(levels(report)) >= {"tasks", "placement", "srun", "gpus", "cpus", "run_folder", "numerics", "paths"}


def test_only_the_first_rank_of_a_node_checks_what_all_share(make_config: Callable[..., RunConfig]) -> None:
    report = checked(make_config(nodes=2, devices=2), {**TWO_BY_TWO, "SLURM_LOCALID": "1", "SLURM_PROCID": "3"})
    assert set(levels(report)) == {"tasks", "placement", "srun", "gpus", "paths"}


def test_a_run_for_more_ranks_than_were_started(make_config: Callable[..., RunConfig]) -> None:
    report = checked(make_config(nodes=4, devices=4), TWO_BY_TWO)
    with pytest.raises(PreflightError, match=r"4 nodes x 4 ranks, started are 2 x 2.*--ntasks-per-node=4"):
        report.require()


def test_measured_memory_is_held_against_the_job_on_the_node(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(nodes=2, devices=2, loader_workers=4, val_split="val")
    context = PreflightContext(config=config, machine=this_machine(), loader=LOADER, step=STEP)
    write_record(config.out, Report(()), context, ())
    assert levels(checked(config, TWO_BY_TWO))["host_memory"] == "ok"
    tight = {**TWO_BY_TWO, "SLURM_MEM_PER_NODE": "6144"}
    report = checked(config, tight)
    (found,) = report.refused
    assert found.check == "host_memory" and "--mem of job 7" in found.message
    assert "train.loader_workers=1 fits" in found.remedy


def test_what_was_accepted_before_submission_is_accepted_on_the_node(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(nodes=2, devices=2, cache=Path("/nowhere/cache"))
    assert [f.check for f in checked(config, TWO_BY_TWO).refused] == ["paths"]
    write_record(config.out, Report(()), PreflightContext(config=config, machine=this_machine()), ["paths"])
    report = checked(config, TWO_BY_TWO)
    report.require()
    (found,) = [f for f in report.findings if f.check == "paths"]
    assert found.level == "warning" and found.message.startswith("accepted by force=paths")


def test_ranks_of_another_launcher_inside_a_job_are_not_counted_as_tasks(
    make_config: Callable[..., RunConfig],
) -> None:
    environ = environment("""
        RANK=1 LOCAL_RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=1 LOCAL_WORLD_SIZE=2
        SLURM_JOB_ID=7 SLURM_NTASKS=1
    """)
    report = checked(make_config(devices=2), environ)
    report.require()
    assert "srun" not in levels(report)


def test_record_round_trip_and_damage(make_config: Callable[..., RunConfig]) -> None:
    config = make_config()
    context = PreflightContext(config=config, machine=this_machine(), loader=LOADER, step=STEP)
    write_record(config.out, Report((refused("disk", "full", "make room"),)), context, ["gpus"])
    record = read_record(config.out)
    assert (record.loader, record.step, record.accepted) == (LOADER, STEP, ("gpus",))
    assert json.loads((config.out / FILE).read_text())["refused"] is True
    (config.out / FILE).write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_record(config.out)

"""RankInfo from environments as recorded under srun, torchrun and without either."""

from __future__ import annotations

from typing import Any

import pytest

from navforge.core.errors import ConfigError
from navforge.training.ranks.rank_info import RankInfo, first_host, from_environment, tasks_per_node

RECORDED = (
    "SLURM_JOB_ID=31 SLURM_PROCID=3 SLURM_LOCALID=1 SLURM_NODEID=1 SLURM_NTASKS=4 SLURM_NPROCS=4 "
    "SLURM_NTASKS_PER_NODE=2 SLURM_TASKS_PER_NODE=2(x2) SLURM_STEP_TASKS_PER_NODE=2(x2) "
    "SLURM_JOB_NODELIST=gl[001-002] SLURM_STEP_NODELIST=gl[001-002] SLURM_NNODES=2 SLURM_JOB_NUM_NODES=2 "
    "SLURM_GPUS_ON_NODE=2 CUDA_VISIBLE_DEVICES=0,1 SLURM_STEP_ID=0 SLURM_SRUN_COMM_HOST=127.0.0.1 "
    "SLURM_LAUNCH_NODE_IPADDR=127.0.0.1 SLURMD_NODENAME=gl002"
)
SRUN = dict(word.split("=", 1) for word in RECORDED.split())
TORCHRUN = {
    "RANK": "5",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1",
    "MASTER_ADDR": "gl001",
    "MASTER_PORT": "1234",
}


def without(environ: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}


def test_a_rank_under_srun() -> None:
    assert from_environment(SRUN) == RankInfo(
        rank=3,
        local_rank=1,
        world_size=4,
        node="gl002",
        node_rank=1,
        nodes=2,
        devices=2,
        master_addr="gl001",
        master_port=20031,
        job="31",
        attempt=0,
    )


def test_a_requeued_job_is_another_session() -> None:
    again = from_environment({**SRUN, "SLURM_RESTART_COUNT": "2"})
    assert again.attempt == 2 and again.session == "31.2" != from_environment(SRUN).session


def test_the_script_may_name_the_master() -> None:
    found = from_environment({**SRUN, "MASTER_ADDR": "gl002", "MASTER_PORT": "7"})
    assert (found.master_addr, found.master_port) == ("gl002", 7)


def test_torchrun_wins_over_srun_around_it() -> None:
    found = from_environment({**SRUN, **TORCHRUN})
    assert (found.rank, found.world_size, found.nodes, found.devices, found.local_rank) == (5, 8, 2, 4, 1)
    assert (found.master_addr, found.master_port, found.job, found.node) == ("gl001", 1234, "31", "gl002")


def test_alone() -> None:
    found = from_environment({}, hostname="desk")
    assert (found.rank, found.world_size, found.node, found.job, found.attempt) == (0, 1, "desk", None, 0)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (without(SRUN, "SLURM_STEP_ID"), "job 31 of 4 tasks, started without srun"),
        ({**SRUN, "SLURM_STEP_TASKS_PER_NODE": "3,1"}, r"placed 3 \+ 1 tasks .* --ntasks-per-node"),
        ({**SRUN, "SLURM_STEP_NODELIST": "[]"}, "not a Slurm node list"),
        (without(TORCHRUN, "MASTER_PORT"), "lacks MASTER_PORT"),
        ({**TORCHRUN, "RANK": "8"}, "rank 8 of 8"),
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": "3"}, "do not make 3 on each"),
        ({**TORCHRUN, "LOCAL_RANK": "4"}, "local rank 4"),
    ],
)
def test_what_cannot_work_is_refused(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_environment(environ)


def test_a_job_of_one_task_needs_no_srun() -> None:
    assert from_environment({"SLURM_JOB_ID": "9", "SLURM_NTASKS": "1"}).job == "9"


@pytest.mark.parametrize(
    ("nodelist", "host"),
    [
        ("gl001", "gl001"),
        ("gl[001-004]", "gl001"),
        ("gl[007,009-011],gh001", "gl007"),
        ("a-b3,c4", "a-b3"),
        ("r[1-2]-ib", "r1-ib"),
    ],
)
def test_first_host(nodelist: str, host: str) -> None:
    assert first_host(nodelist) == host


@pytest.mark.parametrize(
    ("text", "counts"), [("4", [4]), ("2(x2)", [2, 2]), ("3,1", [3, 1]), ("2(x3),1", [2, 2, 2, 1])]
)
def test_tasks_per_node(text: str, counts: list[Any]) -> None:
    assert tasks_per_node(text) == counts

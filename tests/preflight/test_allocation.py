"""What the environment of a Slurm job says, on recorded environments (Slurm 22.05.8)."""

from __future__ import annotations

import pytest

from navforge.preflight.allocation import MIB, Allocation, expand_counts, from_environment, visible_gpus


def environment(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split())


RANK_3_OF_2X2 = environment("""
    SLURM_JOB_ID=7 SLURM_PROCID=3 SLURM_LOCALID=1 SLURM_NODEID=1 SLURM_NTASKS=4 SLURM_NPROCS=4
    SLURM_NTASKS_PER_NODE=2 SLURM_TASKS_PER_NODE=2(x2) SLURM_STEP_TASKS_PER_NODE=2(x2)
    SLURM_JOB_NODELIST=gl[001-002] SLURM_STEP_NODELIST=gl[001-002] SLURM_NNODES=2 SLURM_JOB_NUM_NODES=2
    SLURM_GPUS_ON_NODE=2 CUDA_VISIBLE_DEVICES=0,1 SLURM_STEP_GPUS=0,1 SLURM_JOB_GPUS=0,1 SLURM_GTIDS=2,3
    SLURM_CPUS_PER_TASK=8 SLURM_CPUS_ON_NODE=16 SLURM_MEM_PER_NODE=16384 SLURM_STEP_ID=0
    SLURM_SRUN_COMM_HOST=127.0.0.1 SLURMD_NODENAME=gl002 SLURM_JOB_PARTITION=l40s_public
""")
"""`--nodes=2 --ntasks-per-node=2 --gres=gpu:l40s:2 --cpus-per-task=8 --mem=16G`, under srun."""


def test_a_rank_under_srun() -> None:
    assert from_environment(RANK_3_OF_2X2) == Allocation(
        origin="job 7",
        srun=True,
        nodes=2,
        tasks=4,
        tasks_per_node=2,
        placement=(2, 2),
        gpus_per_node=2,
        visible_gpus=2,
        cpus_per_task=8,
        memory_bytes=16384 * MIB,
        partition="l40s_public",
    )


def test_the_batch_script_itself_is_not_under_srun() -> None:
    batch = {name: value for name, value in RANK_3_OF_2X2.items() if "STEP" not in name and "SRUN" not in name}
    found = from_environment(batch)
    assert found is not None and not found.srun and found.tasks == 4 and found.placement == (2, 2)


def test_outside_of_slurm_there_is_no_allocation() -> None:
    assert from_environment({"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0"}) is None


def test_memory_per_cpu_counts_the_cpus_of_the_node() -> None:
    environ = {k: v for k, v in RANK_3_OF_2X2.items() if k != "SLURM_MEM_PER_NODE"} | {"SLURM_MEM_PER_CPU": "2000"}
    found = from_environment(environ)
    assert found is not None and found.memory_bytes == 16 * 2000 * MIB


def test_a_job_without_gpus_has_none() -> None:
    environ = {k: v for k, v in RANK_3_OF_2X2.items() if "GPU" not in k and "CUDA" not in k}
    found = from_environment(environ)
    assert found is not None and found.gpus_per_node == 0 and found.visible_gpus is None


@pytest.mark.parametrize(
    ("text", "counts"),
    [("2(x2)", (2, 2)), ("3,1", (3, 1)), ("4", (4,)), ("2(x2),1", (2, 2, 1)), ("nonsense", ())],
)
def test_counts_per_node(text: str, counts: tuple[int, ...]) -> None:
    assert expand_counts(text) == counts


@pytest.mark.parametrize(
    ("text", "count"),
    [(None, None), ("0,1,2", 3), ("", 0), ("-1", 0), ("0,-1,1", 1), ("GPU-8a,GPU-9b", 2), ("NoDevFiles", 0)],
)
def test_visible_gpus(text: str | None, count: int | None) -> None:
    assert visible_gpus({} if text is None else {"CUDA_VISIBLE_DEVICES": text}) == count

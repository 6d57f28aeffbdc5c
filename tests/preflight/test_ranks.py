"""Ranks against tasks, GPUs, srun and CPUs: every way a job can be asked for wrongly, and the right one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from navforge.preflight.allocation import Allocation
from navforge.preflight.finding import OK, REFUSED, WARNING, Finding
from navforge.preflight.ranks import (
    check_cpus,
    check_gpus,
    check_placement,
    check_srun,
    check_tasks,
    check_visible,
)

SOUND = Allocation(
    origin="job 7",
    srun=True,
    nodes=2,
    tasks=8,
    tasks_per_node=4,
    placement=(4, 4),
    gpus_per_node=4,
    visible_gpus=4,
    cpus_per_task=8,
)


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    assert finding.level == OK or finding.remedy or finding.level == WARNING
    return finding


def test_a_sound_job_passes() -> None:
    found = [
        only(check_tasks(SOUND, 2, 4)),
        only(check_placement(SOUND, 2, 4)),
        only(check_srun(SOUND)),
        only(check_gpus(SOUND, 4, "auto")),
        only(check_cpus(7, 8)),
    ]
    assert [finding.level for finding in found] == [OK] * 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tasks": 1}, "8 ranks, job 7 has 1 task: 1 rank would wait for 7"),
        ({"tasks": 4}, "4 ranks would wait for 4"),
        ({"tasks": 7}, "7 ranks would wait for 1"),
        ({"tasks": 9}, "1 would find no place"),
        ({"tasks": 16}, "8 would find no place"),
        ({"nodes": 1}, "has 1 node"),
    ],
)
def test_tasks_must_equal_ranks(change: dict[str, int], says: str) -> None:
    found = only(check_tasks(replace(SOUND, **change), 2, 4))
    assert found.level == REFUSED and says in found.message
    assert "--nodes=2 --ntasks-per-node=4" in found.remedy


def test_uneven_placement_is_refused() -> None:
    uneven = replace(SOUND, tasks=4, tasks_per_node=None, placement=(3, 1))
    found = only(check_placement(uneven, 2, 2))
    assert found.level == REFUSED and "3 + 1" in found.message and "--ntasks-per-node=2" in found.remedy


def test_a_script_without_a_count_per_node_is_refused_before_it_is_placed() -> None:
    asked = replace(SOUND, tasks=4, tasks_per_node=None, placement=None)
    found = only(check_placement(asked, 2, 2))
    assert found.level == REFUSED and "3 + 1" in found.message
    one_node = replace(asked, nodes=1)
    assert only(check_placement(one_node, 1, 4)).level == OK


def test_a_count_per_node_that_is_not_devices_is_refused() -> None:
    assert only(check_placement(replace(SOUND, placement=None), 4, 2)).level == REFUSED


def test_one_process_without_srun_is_refused_and_one_task_needs_none() -> None:
    found = only(check_srun(replace(SOUND, srun=False)))
    assert found.level == REFUSED and "7 others" in found.message and "srun" in found.remedy
    assert only(check_srun(replace(SOUND, srun=False, tasks=1))).level == OK


@pytest.mark.parametrize(
    ("gpus", "visible", "devices", "accelerator", "level", "says"),
    [
        (1, 1, 8, "auto", REFUSED, "1 GPU per node for 8 ranks"),
        (8, 8, 1, "auto", REFUSED, "7 would stay idle"),
        (4, 2, 4, "gpu", REFUSED, "sees 2 GPUs of the 4"),
        (4, 0, 4, "gpu", REFUSED, "sees 0 GPUs of the 4"),
        (4, 1, 4, "gpu", OK, "4 GPUs per node"),
        (0, None, 4, "gpu", REFUSED, "0 GPUs per node for 4 ranks"),
        (0, None, 4, "auto", WARNING, "training on CPU"),
        (0, None, 4, "cpu", OK, "CPU"),
        (4, 4, 4, "cpu", REFUSED, "train.accelerator=cpu in a job with 4 GPUs"),
        (None, None, 4, "gpu", WARNING, "does not say"),
    ],
)
def test_one_gpu_for_each_rank(
    gpus: int | None, visible: int | None, devices: int, accelerator: str, level: str, says: str
) -> None:
    found = only(check_gpus(replace(SOUND, gpus_per_node=gpus, visible_gpus=visible), devices, accelerator))
    assert found.level == level and says in found.message


@pytest.mark.parametrize(
    ("visible", "devices", "accelerator", "level"),
    [
        (8, 1, "auto", REFUSED),
        (8, 8, "auto", OK),
        (1, 4, "auto", REFUSED),
        (0, 4, "auto", OK),
        (0, 1, "gpu", REFUSED),
        (8, 1, "cpu", OK),
    ],
)
def test_gpus_of_this_machine(visible: int, devices: int, accelerator: str, level: str) -> None:
    found = only(check_visible(visible, devices, accelerator))
    assert found.level == level
    if visible == 8 and level == REFUSED:
        assert "7 of 8 GPUs stay idle" in found.message and "CUDA_VISIBLE_DEVICES=0" in found.remedy


@pytest.mark.parametrize(("workers", "cpus", "level"), [(8, 8, OK), (9, 8, REFUSED), (0, 1, OK), (2, 0.5, REFUSED)])
def test_workers_against_cpus(workers: int, cpus: float, level: str) -> None:
    assert only(check_cpus(workers, cpus)).level == level

"""Jobs against partitions, on lines `scontrol -o show` printed (Slurm 22.05.8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from navforge.preflight.finding import OK, REFUSED, WARNING
from navforge.preflight.partition import Cluster, Request, check_partition, of_profile
from navforge.slurm.output import Node, Partition
from navforge.slurm.profile import ClusterProfile

L40S = Partition(
    name="l40s_public",
    default=True,
    up=True,
    max_time_s=2 * 86400,
    default_time_s=3600,
    max_nodes=None,
    node_list="gl[001-004]",
    total_nodes=4,
    max_memory_per_node_mb=None,
    allowed_accounts=None,
)
NODES = [
    Node(name=f"gl00{i}", partitions=("l40s_public",), state="IDLE", cpus=128, memory_mb=513000, gpus={"l40s": 4})
    for i in range(1, 5)
]
CLUSTER = Cluster([L40S, replace(L40S, name="h200", default=False)], NODES)
SOUND = Request(
    partition="l40s_public",
    account=None,
    nodes=4,
    gpus_per_node=4,
    gpu_type="l40s",
    cpus_per_node=128,
    memory_mb=480 * 1024,
    time_limit_s=2 * 86400,
)


def test_a_sound_request() -> None:
    assert [finding.level for finding in check_partition(SOUND, CLUSTER)] == [OK]
    assert [finding.level for finding in check_partition(replace(SOUND, partition=None), CLUSTER)] == [OK]


@pytest.mark.parametrize(
    ("change", "says", "remedy"),
    [
        ({"partition": "l40s_publik"}, "no partition 'l40s_publik'", "partition=l40s_public"),
        ({"partition": "zzz"}, "no partition", "partitions: l40s_public, h200"),
        ({"time_limit_s": 3 * 86400}, "PartitionTimeLimit", "2-00:00:00"),
        ({"nodes": 5}, "PartitionNodeLimit", "nodes=4"),
        ({"gpus_per_node": 8}, "has 4 GPUs of type l40s", "devices="),
        ({"gpu_type": "h100"}, "0 GPUs of type h100 (4 l40s)", "gpu_type"),
        ({"cpus_per_node": 129}, "128 CPUs, 129 asked for", "cpus_per_node"),
        ({"memory_mb": 513001}, "513000 MB of memory", "memory_gb"),
    ],
)
def test_more_than_the_partition_offers(change: dict[str, object], says: str, remedy: str) -> None:
    (found,) = check_partition(replace(SOUND, **change), CLUSTER)  # type: ignore[arg-type]
    assert found.level == REFUSED and says in found.message and remedy in found.remedy


@pytest.mark.parametrize(
    ("change", "says"),
    [({"up": False}, "is down"), ({"allowed_accounts": ("a", "b")}, "account"), ({"max_nodes": 2}, "gives 2")],
)
def test_closed_partitions(change: dict[str, object], says: str) -> None:
    closed = Cluster([replace(L40S, **change)], NODES)  # type: ignore[arg-type]
    (found,) = check_partition(SOUND, closed)
    assert found.level == REFUSED and says in found.message


def test_nodes_that_are_down_now_are_a_warning() -> None:
    drained = [replace(NODES[0], state="IDLE+DRAIN"), *NODES[1:]]
    (found,) = [f for f in check_partition(SOUND, Cluster([L40S], drained)) if f.level != OK]
    assert found.level == WARNING and "gl001 IDLE+DRAIN" in found.message and "3 of 4" in found.message


def test_a_profile_asks_for_its_share_of_a_node() -> None:
    profile = ClusterProfile(
        name="l40s",
        partition="l40s_public",
        nodes=4,
        gpus_per_node=4,
        gpu_type="l40s",
        cpus_per_node=128,
        memory_gb=480,
        time_limit="2-00:00:00",
    )
    assert of_profile(profile, 4, 4) == SOUND
    without = of_profile(profile, 4, 4, on_gpu=False)
    assert (without.gpus_per_node, without.gpu_type) == (0, None)
    assert without.cpus_per_node == SOUND.cpus_per_node
    half = of_profile(profile, 1, 2)
    assert (half.cpus_per_node, half.memory_mb) == (64, 240 * 1024)

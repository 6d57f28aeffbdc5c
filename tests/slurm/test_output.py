"""Records from what Slurm 22.05 printed (recorded on a cluster with jobs of every fate)."""

from __future__ import annotations

import pytest

from navforge.core.errors import DataError
from navforge.slurm.output import (
    parse_accounting,
    parse_fields,
    parse_nodes,
    parse_partitions,
    parse_queue,
    parse_steps,
    queue_position,
)

QUEUE = """\
2|2|PENDING|0:00|3-00:00:00|4294901758|4|PartitionTimeLimit||N/A|l40s_public
3|3|PENDING|0:00|10:00|4294901757|4|Resources||2026-11-23T03:10:32|l40s_public
6|6_[0-3%1]|PENDING|0:00|UNLIMITED|4294901757|2|Priority||N/A|l40s_public
9|9|PENDING|0:00|10:00|4294901799|2|Priority||N/A|h200
1|1|RUNNING|1-02:03:04|10:00|4294901759|2|None|gl[001-002]|2026-11-23T03:00:32|l40s_public
11|10_0|FAILED|0:07|1:00:00|4294901754|1|NonZeroExitCode|gl001|2026-11-23T03:00:53|l40s_public
"""

ACCOUNTING = """\
1|REQUEUED|0:0|0:0|17|2026-11-23T03:00:29|2026-11-23T03:00:32|2026-11-23T03:00:49||gl[001-002]|None
1.batch|CANCELLED|0:15||17|2026-11-23T03:00:32|2026-11-23T03:00:32|2026-11-23T03:00:49|12304K|gl001|
1.0|CANCELLED|0:15||17|2026-11-23T03:00:32|2026-11-23T03:00:32|2026-11-23T03:00:49|1696K|gl[001-002]|
2|CANCELLED by 1000|0:0|0:0|0|2026-11-23T03:00:29|None|2026-11-23T03:00:49||None assigned|PartitionConfig
1|PENDING|0:0|0:0|0|2026-11-23T03:00:49|Unknown|Unknown||None assigned|None
9|FAILED|9:0|0:9|0|2026-11-23T03:00:52|2026-11-23T03:00:53|2026-11-23T03:00:53||gl001|None
9.0|OUT_OF_MEMORY|0:125||0|2026-11-23T03:00:52|2026-11-23T03:00:53|2026-11-23T03:00:53|1.5G|gl001|
"""

JOB = (
    "JobId=3 JobName=a|b c UserId=root(0) GroupId=root(0) MCS_label=N/A Priority=4294901757 Nice=0 Account=root "
    "QOS=normal JobState=PENDING Reason=Resources Dependency=(null) Requeue=1 Restarts=2 BatchFlag=1 Reboot=0 "
    "ExitCode=0:0 RunTime=00:00:00 TimeLimit=00:10:00 TimeMin=N/A NodeList= NumNodes=4-4 NumCPUs=32 NumTasks=8 "
    "CPUs/Task=4 ReqB:S:C:T=0:0:*:* TRES=cpu=32,mem=8G,node=4,billing=32,gres/gpu=16,gres/gpu:l40s=16 "
    "Socks/Node=* NtasksPerN:B:S:C=2:0:*:* JOB_GRES=gpu:l40s:4 Command=/data/run 1/job.sbatch WorkDir=/data "
    "StdOut=/data/run 1/job-3.log Power= TresPerNode=gres:gpu:l40s:4 \n"
)

PARTITIONS = """\
PartitionName=l40s_public AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL Default=YES QoS=N/A DefaultTime=01:00:00 \
MaxNodes=UNLIMITED MaxTime=2-00:00:00 MinNodes=0 Nodes=gl[001-004] State=UP TotalCPUs=512 TotalNodes=4 \
DefMemPerCPU=2000 MaxMemPerNode=UNLIMITED TRES=cpu=512,mem=2052000M,node=4,billing=512,gres/gpu=16
PartitionName=h200 AllowGroups=ALL AllowAccounts=a,b Default=NO DefaultTime=NONE MaxNodes=1 MaxTime=UNLIMITED \
Nodes=gh001 State=DRAIN TotalCPUs=128 TotalNodes=1 MaxMemPerNode=500000
"""

NODES = """\
NodeName=gh001 Arch=x86_64 CoresPerSocket=64  CPUAlloc=0 CPUEfctv=128 CPUTot=128 CPULoad=0.74 Gres=gpu:h200:8(S:0-1) \
OS=Linux 6.1 #1 SMP PREEMPT_DYNAMIC @0  RealMemory=2063000 AllocMem=0 State=IDLE+DRAIN Partitions=h200,all
NodeName=gl001 CPUTot=64 Gres=gpu:2,gpu:l40s:4,gpu:l40s:1,nvme:3 RealMemory=513000 State=MIXED Partitions=l40s_public
NodeName=gl002 CPUTot=64 Gres=(null) RealMemory=513000 State=IDLE* Partitions=l40s_public
"""


def test_queue() -> None:
    queue = {entry.job: entry for entry in parse_queue(QUEUE)}
    assert queue["1"].elapsed_s == 93784 and queue["1"].limit_s == 600 and queue["1"].node_list == "gl[001-002]"
    assert queue["2"].limit_s == 3 * 86400 and queue["2"].reason == "PartitionTimeLimit" and queue["2"].start is None
    assert queue["3"].start == "2026-11-23T03:10:32" and queue["6"].limit_s is None
    assert queue["11"].shown_as == "10_0" and not queue["11"].alive
    assert all(entry.alive for job, entry in queue.items() if job != "11")


@pytest.mark.parametrize(("job", "place"), [("2", 1), ("3", 2), ("6", 3), ("9", 1), ("1", None), ("404", None)])
def test_place_in_the_queue_counts_the_partition_only(job: str, place: int | None) -> None:
    assert queue_position(parse_queue(QUEUE), job) == place


def test_accounting_of_a_requeued_a_cancelled_and_a_failed_job() -> None:
    first, batch, step, cancelled, again, failed, memory = parse_accounting(ACCOUNTING)
    assert (first.job, first.step, first.state, first.elapsed_s) == ("1", None, "REQUEUED", 17)
    assert (batch.step, batch.signal, batch.max_rss_bytes) == ("batch", 15, 12304 << 10)
    assert (step.job, step.step, step.node_list) == ("1", "0", "gl[001-002]")
    assert (cancelled.state, cancelled.cancelled_by, cancelled.start) == ("CANCELLED", 1000, None)
    assert (again.state, again.end, again.node_list, again.reason) == ("PENDING", None, None, None)
    assert (failed.exit_code, failed.signal, failed.derived_exit_code) == (9, 0, 0)
    assert (memory.state, memory.signal, memory.max_rss_bytes) == ("OUT_OF_MEMORY", 125, 3 << 29)


def test_running_steps() -> None:
    batch, step = parse_steps("3.batch|1|12544K|gl001|0|00:00:00\n3.0|16||||00:00:01\n")
    assert (batch.job, batch.step, batch.tasks, batch.max_rss_bytes) == ("3", "batch", 1, 12544 << 10)
    assert (step.tasks, step.max_rss_bytes, step.max_rss_node, step.max_rss_task) == (16, None, None, None)


def test_fields_of_a_job() -> None:
    fields = parse_fields(JOB)
    assert fields["JobState"] == "PENDING" and fields["Restarts"] == "2" and fields["NodeList"] == ""
    assert fields["JobName"] == "a|b c" and fields["StdOut"] == "/data/run 1/job-3.log"
    assert fields["TRES"].endswith("gres/gpu:l40s=16") and fields["CPUs/Task"] == "4"
    assert fields["GroupId"] == "root(0)" and fields["JOB_GRES"] == "gpu:l40s:4"


def test_partitions() -> None:
    public, h200 = parse_partitions(PARTITIONS)
    assert (public.name, public.default, public.up, public.max_time_s) == ("l40s_public", True, True, 172800)
    assert (public.default_time_s, public.max_nodes, public.total_nodes) == (3600, None, 4)
    assert (h200.up, h200.max_time_s, h200.default_time_s, h200.max_nodes) == (False, None, None, 1)
    assert h200.max_memory_per_node_mb == 500000 and h200.allowed_accounts == ("a", "b")


def test_nodes() -> None:
    gh001, gl001, gl002 = parse_nodes(NODES)
    assert gh001.gpus == {"h200": 8} and gh001.partitions == ("h200", "all") and not gh001.usable
    assert gl001.gpus == {"": 2, "l40s": 5} and gl001.cpus == 64 and gl001.usable
    assert gl002.gpus == {} and not gl002.usable


def test_another_number_of_fields_is_refused() -> None:
    with pytest.raises(DataError, match="squeue printed 2 fields where 11 were asked for"):
        parse_queue("1|RUNNING\n")

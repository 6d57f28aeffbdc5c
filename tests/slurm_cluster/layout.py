"""What the cluster looks like: nodes, ports, and the configuration files that say so."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from navforge.launch import local

KILL_WAIT_S = 5
"""From SIGTERM to SIGKILL; Slurm's own is 30."""
REQUEUE_DELAY_S = 5
"""How long a requeued job waits; Slurm's own is 120, which it also takes for less than 5."""
CPUS = 128
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
"""Where daemons lie, whatever the shell of the tests looks through."""


@dataclass(frozen=True)
class Group:
    """Nodes that are alike; they make one partition."""

    partition: str
    gpu_type: str
    gpus: int
    memory_mb: int
    nodes: tuple[str, ...]


GROUPS = (
    Group("l40s_public", "l40s", 4, 513000, ("gl001", "gl002", "gl003", "gl004")),
    Group("h200", "h200", 8, 2063000, ("gh001",)),
)
NODES = tuple(node for group in GROUPS for node in group.nodes)


@dataclass(frozen=True)
class Layout:
    """Where one cluster keeps its files and which ports it uses."""

    root: Path
    ports: dict[str, int]
    own_hostnames: bool
    """Every node has a host name of its own, which needs CAP_SYS_ADMIN."""

    @property
    def conf(self) -> Path:
        return self.root / "etc" / "slurm.conf"

    @property
    def munge_socket(self) -> Path:
        return self.root / "run" / "munge.socket"

    def log(self, name: str) -> Path:
        return self.root / "log" / f"{name}.log"

    def environ(self) -> dict[str, str]:
        return {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.conf)}


def free_ports() -> dict[str, int]:
    """A free port for every daemon that listens."""
    names = ("slurmctld", "slurmdbd", "mariadbd", *NODES)
    return dict(zip(names, local.free_ports(len(names)), strict=True))


def write(layout: Layout) -> None:
    """Make the folders and configuration files."""
    root = layout.root
    for folder in ("etc", "run", "log", "state", "dev", *(f"spool/{node}" for node in NODES)):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder in (root, root / "run"):
        folder.chmod(0o755)  # munged refuses folders others may write to
    for index in range(max(group.gpus for group in GROUPS)):
        (root / "dev" / f"nvidia{index}").symlink_to("/dev/null")  # Slurm counts GPUs by device files
    layout.conf.write_text(_slurm_conf(layout))
    (root / "etc" / "gres.conf").write_text(_gres_conf(layout))
    password = secrets.token_hex(16)
    _write_private(root / "etc" / "slurmdbd.conf", _slurmdbd_conf(layout, password).encode())
    _write_private(root / "etc" / "database.sql", _database_sql(password).encode())
    _write_private(root / "etc" / "munge.key", secrets.token_bytes(128))


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _slurm_conf(layout: Layout) -> str:
    host = socket.gethostname().partition(".")[0]
    root, ports = layout.root, layout.ports
    nodes = "\n".join(
        f"NodeName={node} NodeHostname={node if layout.own_hostnames else host} NodeAddr=127.0.0.1 Port={ports[node]} "
        f"CPUs={CPUS} Boards=1 SocketsPerBoard=2 CoresPerSocket={CPUS // 2} ThreadsPerCore=1 "
        f"RealMemory={group.memory_mb} Gres=gpu:{group.gpu_type}:{group.gpus} State=UNKNOWN"
        for group in GROUPS
        for node in group.nodes
    )
    partitions = "\n".join(
        f"PartitionName={group.partition} Nodes={','.join(group.nodes)} Default={'NO' if index else 'YES'} "
        "DefaultTime=01:00:00 MaxTime=2-00:00:00 DefMemPerCPU=2000 State=UP"
        for index, group in enumerate(GROUPS)
    )
    return f"""\
ClusterName=virtual
# ports are made of job ids: two clusters on one machine should not count alike
FirstJobId={1 + secrets.randbelow(9000)}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports["slurmctld"]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# the life of a credential is also the time a requeued job waits
AuthInfo=socket={layout.munge_socket},cred_expire={REQUEUE_DELAY_S}
MpiDefault=none
MailProg=/bin/true
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd.%n.pid
SlurmctldLogFile={layout.log("slurmctld")}
SlurmdLogFile={root}/log/%n.log
# nodes may claim more than the machine has
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
JobRequeue=1
KillWait={KILL_WAIT_S}
MinJobAge=3600
MessageTimeout=30
UnkillableStepTimeout=60
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,bf_continue
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PriorityType=priority/basic
# a job over its --mem is stopped within a second
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports["slurmdbd"]}
AccountingStoragePass={layout.munge_socket}
AccountingStorageTRES=gres/gpu,{",".join(f"gres/gpu:{group.gpu_type}" for group in GROUPS)}
GresTypes=gpu
{nodes}
{partitions}
"""


def _gres_conf(layout: Layout) -> str:
    lines = [
        f"NodeName={','.join(group.nodes)} Name=gpu Type={group.gpu_type} "
        f"File={layout.root}/dev/nvidia[0-{group.gpus - 1}] Flags=nvidia_gpu_env"
        for group in GROUPS
    ]
    return "\n".join(["AutoDetect=off", *lines, ""])


def _slurmdbd_conf(layout: Layout, password: str) -> str:
    return f"""\
AuthType=auth/munge
AuthInfo=socket={layout.munge_socket}
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={layout.ports["slurmdbd"]}
SlurmUser=root
LogFile={layout.log("slurmdbd")}
PidFile={layout.root}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={layout.ports["mariadbd"]}
StorageUser=slurm
StoragePass={password}
StorageLoc=accounting
"""


def _database_sql(password: str) -> str:
    return f"""\
CREATE DATABASE IF NOT EXISTS accounting;
CREATE USER IF NOT EXISTS 'slurm'@'127.0.0.1' IDENTIFIED BY '{password}';
GRANT ALL ON accounting.* TO 'slurm'@'127.0.0.1';
"""

"""What one node offers a job: CPUs, memory, GPUs, shared memory."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from navforge.core.device import may_have_gpu
from navforge.core.parallel import available_cpus
from navforge.core.sizes import GIB
from navforge.preflight.allocation import Allocation
from navforge.slurm.profile import ClusterProfile

SHARED_MEMORY = Path("/dev/shm")
_CGROUP_V2 = Path("/sys/fs/cgroup")
_CGROUP_V1 = Path("/sys/fs/cgroup/memory")
_UNLIMITED = 1 << 60
"""Control groups v1 write no limit as a number of this size."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One node as the job sees it; None where it is not known."""

    name: str
    here: bool
    """Whether it is the machine this process runs on."""
    cpus: float
    """CPUs of the job on the node."""
    memory_bytes: int | None
    """Host memory the job may take on the node."""
    memory_source: str
    """Where that number comes from."""
    gpu_bytes: int | None = None
    """Memory of one GPU."""
    gpu_name: str | None = None
    shared_memory_bytes: int | None = None
    """Free space of /dev/shm, through which loader workers hand over batches."""
    time_limit_s: int | None = None
    requeue: bool = False
    """Whether the job returns to the queue at its time limit and resumes."""


def this_machine() -> Machine:
    """The machine of this process: what is free now, within the limits it runs under."""
    memory, source = available_memory()
    name, gpu_bytes = first_gpu()
    return Machine(
        name="this machine",
        here=True,
        cpus=available_cpus(),
        memory_bytes=memory,
        memory_source=source,
        gpu_bytes=gpu_bytes,
        gpu_name=name,
        shared_memory_bytes=free_shared_memory(),
    )


def of_profile(profile: ClusterProfile, devices: int) -> Machine:
    """A node of a cluster as a job with `devices` ranks per node gets it."""
    memory_gb = profile.job_memory_gb(devices)
    return Machine(
        name=profile.name,
        here=False,
        cpus=profile.cpus_per_rank * devices,
        memory_bytes=memory_gb * GIB,
        memory_source=f"{devices}/{profile.gpus_per_node} of the node's {profile.memory_gb} GiB (cluster profile)",
        gpu_bytes=None if profile.gpu_memory_gb is None else int(profile.gpu_memory_gb * GIB),
        gpu_name=profile.gpu_type,
        time_limit_s=profile.time_limit_s,
        requeue=profile.max_restarts > 0,
    )


def of_allocation(allocation: Allocation, devices: int) -> Machine:
    """A node of an existing job or batch script."""
    cpus = (allocation.cpus_per_task or 1) * (devices if allocation.launcher is None else 1)
    return Machine(
        name=allocation.origin,
        here=False,
        cpus=cpus,
        memory_bytes=allocation.memory_bytes,
        memory_source=f"--mem of {allocation.origin}",
        time_limit_s=allocation.time_limit_s,
        requeue=allocation.requeue,
    )


def of_node(allocation: Allocation | None, devices: int) -> Machine:
    """The node a rank runs on, whatever other ranks have taken of it by now."""
    memory, source = total_memory()
    cpus: float = available_cpus()
    if allocation is not None:
        if allocation.memory_bytes is not None and allocation.memory_bytes < memory:
            memory, source = allocation.memory_bytes, f"--mem of {allocation.origin}"
        if allocation.cpus_per_task is not None:
            cpus = allocation.cpus_per_task * devices
    return replace(
        this_machine(),
        name=socket.gethostname(),
        cpus=cpus,
        memory_bytes=memory,
        memory_source=source,
    )


def available_memory() -> tuple[int, str]:
    """Bytes this process and its children may still take, and what sets the limit: free memory or a control group."""
    free = psutil.virtual_memory().available
    room = min((limit - used for limit, used in _cgroup_limits()), default=None)
    if room is not None and room < free:
        return max(0, room), "left below the memory limit of this process's control group"
    return free, "free on this machine"


def total_memory() -> tuple[int, str]:
    """Bytes all processes of this job may take together, and what sets the limit: the machine or a control group."""
    total = psutil.virtual_memory().total
    limit = min((limit for limit, _ in _cgroup_limits()), default=None)
    if limit is not None and limit < total:
        return limit, "memory limit of this process's control group"
    return total, "memory of this machine"


def _cgroup_limits(
    own: Path = Path("/proc/self/cgroup"), v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1
) -> list[tuple[int, int]]:
    """(limit, used) of every control group with a memory limit from this process's own up to the root."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    limits: list[tuple[int, int]] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            limits += _limits(v2, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            limits += _limits(v1, path, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return limits


def _limits(root: Path, path: str, limit: str, used: str, cache: str) -> list[tuple[int, int]]:
    limits = []
    folder = root / path.lstrip("/")
    while True:
        try:
            most = (folder / limit).read_text().strip()
            taken = int((folder / used).read_text()) - _statistic(folder / "memory.stat", cache)
            if most != "max" and int(most) < _UNLIMITED:
                limits.append((int(most), max(0, taken)))
        except (OSError, ValueError):
            pass  # the root group has no limit files; a group of another container is not visible
        if folder == root or root not in folder.parents:
            return limits
        folder = folder.parent


def _statistic(path: Path, name: str) -> int:
    """A number of memory.stat: file pages that the kernel gives back when memory is short do not count as used."""
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def free_shared_memory() -> int | None:
    """Free bytes of /dev/shm; None where there is none."""
    return shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else None


def first_gpu() -> tuple[str | None, int | None]:
    """Name and memory of the first GPU torch sees, (None, None) without one."""
    import torch  # noqa: PLC0415 (the checks of batch scripts need no torch)

    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or not torch.cuda.is_available():
        return None, None
    properties = torch.cuda.get_device_properties(0)
    return properties.name, properties.total_memory


def count_gpus() -> int:
    """GPUs torch sees; it is loaded only where there may be one."""
    if not may_have_gpu():
        return 0
    import torch  # noqa: PLC0415

    return torch.cuda.device_count() if torch.cuda.is_available() else 0

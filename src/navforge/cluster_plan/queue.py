"""When Slurm would start the very job that `navforge train` would submit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from navforge.cluster_plan.predict import Shape
from navforge.core.errors import ConfigError
from navforge.jobs.cluster import seconds
from navforge.launch.script import batch_script
from navforge.launch.start import job_facts
from navforge.preflight import partition
from navforge.preflight.estimate import Estimate
from navforge.preflight.finding import OK, REFUSED
from navforge.preflight.partition import Cluster
from navforge.runs.folder import RunFolder
from navforge.slurm import client
from navforge.slurm.output import QueuedJob
from navforge.slurm.profile import ClusterProfile
from navforge.training.run_base import RunBase


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """What the cluster said when it was asked."""

    cluster: Cluster
    queue: Sequence[QueuedJob]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a job would stand in the queue."""

    refusal: str | None = None
    """Why there will never be such a job."""
    wait_s: Estimate | None = None
    """Until it starts; None where Slurm does not say."""
    notes: tuple[str, ...] = ()


def ask() -> Slurm | str:
    """Partitions, nodes and queue; the reason where Slurm does not answer here."""
    try:
        return Slurm(cluster=Cluster(client.partitions(), client.nodes()), queue=client.queue())
    except client.SlurmError as error:
        return str(error)


def place(config: RunBase, profile: ClusterProfile, shape: Shape, slurm: Slurm | str, now: float) -> Place:
    """Whether the profile and its partition can give the shape, and when.

    Slurm lets jobs that run or wait take their whole time limits: what it says is the longest wait for the queue as it
    is, and the range begins at no wait. Jobs that come later with a higher priority are not known to anyone.

    Args:
        config: of the run.
        profile: of the cluster.
        shape: nodes and ranks per node.
        slurm: `ask()`.
        now: s since 1970.
    """
    config = replace(config, nodes=shape.nodes, devices=shape.devices)
    try:
        text = batch_script(job_facts(RunFolder(config.out.absolute()), config), profile)
    except ConfigError as error:
        return Place(refusal=str(error).partition("; ")[0])
    if isinstance(slurm, str):
        return Place(notes=(f"wait unknown: {slurm}",))
    on_gpu = config.train.accelerator != "cpu"
    request = partition.of_profile(profile, shape.nodes, shape.devices, on_gpu=on_gpu)
    findings = list(partition.check_partition(request, slurm.cluster))
    for finding in findings:
        if finding.level == REFUSED:
            return Place(refusal=finding.message)
    notes = [finding.message for finding in findings if finding.level != OK]
    with _file(text) as script:
        try:
            start = seconds(client.expected_start(script))
        except client.SlurmUnreachableError as error:
            return Place(notes=(*notes, f"wait unknown: {error}"))
        except client.SlurmError as error:
            return Place(refusal=str(error))
    if start is None:
        return Place(notes=(*notes, "wait unknown: Slurm does not say when the job would start"))
    wait = max(0.0, start - now)
    waiting = _waiting(profile, slurm)
    if wait and waiting:
        notes.append(f"{len(waiting)} job{'s wait' if len(waiting) > 1 else ' waits'} for the partition")
        if unplanned := sum(job.start is None for job in waiting):
            notes.append(f"Slurm has not planned {unplanned} of them yet: the wait may be longer")
    return Place(wait_s=Estimate(wait, 0.0, wait), notes=tuple(notes))


def _waiting(profile: ClusterProfile, slurm: Slurm) -> list[QueuedJob]:
    default = next((entry.name for entry in slurm.cluster.partitions if entry.default), None)
    return [job for job in slurm.queue if job.state == "PENDING" and job.partition == (profile.partition or default)]


@contextmanager
def _file(text: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="navforge-") as folder:
        path = Path(folder) / "job.sbatch"
        path.write_text(text)
        yield path

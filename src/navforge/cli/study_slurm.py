"""The jobs of a study, as `study plan` shows them and `study run` submits them, checked before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from navforge.cli.keys.studies import profile_of
from navforge.cli.study_files import configure
from navforge.core.durations import write_duration
from navforge.launch.array import memory_gb
from navforge.launch.study_jobs import QueuedTask, StudyJob, describe, plan_jobs, queued_tasks
from navforge.preflight.duration import TIME
from navforge.preflight.finding import Finding, Report, join, warning
from navforge.preflight.partition import check_here, of_task
from navforge.slurm.profile import ClusterProfile
from navforge.studies.graph import Graph
from navforge.studies.plan import S_PER_H, Cost


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """What is in the queue of a study, and what would be submitted."""

    profile: ClusterProfile
    queued: Mapping[str, QueuedTask]
    """By the fingerprints of the nodes that are made."""
    jobs: tuple[StudyJob, ...]
    report: Report

    def lines(self) -> Iterator[str]:
        """The jobs that would be submitted, in words."""
        for job in self.jobs:
            yield f"{describe(job, self.profile)}{after_words(job.after)}"

    def warnings(self) -> Iterator[str]:
        """What the checks found, in words."""
        for finding in self.report.findings:
            if finding.level != "ok":
                yield f"{finding.level}: {finding.message}" + (f"; {finding.remedy}" if finding.remedy else "")


def look_ahead(graph: Graph, costs: Mapping[str, Cost]) -> JobPlan:
    """Ask Slurm what it has of a study; plan jobs for the rest and check them. Nothing is submitted.

    Args:
        graph: of the study, with how it is launched.
        costs: predicted, of a run of each cell, by its name; others are unknown.

    Raises:
        ConfigError: no cluster profile, or one that cannot do what is asked for.
        SlurmError: there are jobs of the study, and Slurm does not say which of them are left.
    """
    profile = profile_of(graph.study.launch)
    queued = queued_tasks(graph.out)
    jobs = plan_jobs(graph, profile, configure, queued)
    shares = dict.fromkeys(job.share for job in jobs)
    requests = [
        of_task(profile, cpus=share.cpus, gpus=share.gpus, memory_gb=memory_gb(share.cpus, profile)) for share in shares
    ]
    findings = join([*map(check_here, requests), _time_limits(graph, costs, profile)])
    return JobPlan(profile=profile, queued=queued, jobs=tuple(jobs), report=Report(tuple(dict.fromkeys(findings))))


def after_words(what: tuple[str, ...]) -> str:
    """`, after town, cache train`."""
    return f", after {', '.join(what)}" if what else ""


def _time_limits(graph: Graph, costs: Mapping[str, Cost], profile: ClusterProfile) -> Iterator[Finding]:
    limit = profile.time_limit_s
    for cell in graph.cells:
        cost = costs.get(cell.name)
        if limit is None or cost is None or all(run.done for run in cell.runs) or cost.hours[0] * S_PER_H <= limit:
            continue
        yield warning(
            TIME,
            f"a run of {cell.name} is predicted to take {write_duration(cost.hours[0] * S_PER_H)}, a job may take "
            f"{write_duration(limit)}: it goes back into the queue and on from its checkpoint",
            "time_limit= gives more time",
        )

"""The jobs of a study, as `study plan` shows them and `study run` submits them, checked before anything is spent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from navforge.cli.keys.studies import profile_of
from navforge.cli.study_files import configure
from navforge.core.durations import write_duration
from navforge.jobs.control import look
from navforge.launch.array import memory_gb
from navforge.launch.study_jobs import (
    QueuedTask,
    StudyJob,
    describe,
    on_several_nodes,
    plan_jobs,
    queued_tasks,
    waits_for_nodes,
)
from navforge.preflight.duration import TIME
from navforge.preflight.finding import Finding, Report, join, warning
from navforge.preflight.partition import check_here, of_profile, of_task
from navforge.runs.folder import RunFolder
from navforge.slurm.profile import ClusterProfile
from navforge.studies.graph import RUNS, Graph, Node
from navforge.studies.plan import S_PER_H, Cost
from navforge.studies.run import COMMAND, mark_start
from navforge.studies.state import last_error, log_path, remedy


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """What is in the queue of a study, and what would be submitted."""

    profile: ClusterProfile
    queued: Mapping[str, QueuedTask]
    """By the fingerprints of the nodes that are made."""
    runs: tuple[Node, ...]
    """On several nodes, and what they read is there: to be submitted as jobs of their own."""
    later: tuple[str, ...]
    """Names of runs on several nodes that cannot be submitted yet, and of what reads them."""
    jobs: tuple[StudyJob, ...]
    report: Report

    def lines(self) -> Iterator[str]:
        """The jobs that would be submitted, in words."""
        for run in self.runs:
            yield run_words(run)
        for job in self.jobs:
            yield f"{describe(job, self.profile)}{after_words(job.after, '; ')}"
        if self.later:
            yield later_words(self.later)

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
    queued = queued_nodes(graph)
    jobs = plan_jobs(graph, profile, configure, queued)
    later = waits_for_nodes(graph, queued)
    several = [node for node in on_several_nodes(graph) if node.name in later]
    ready = [node for node in several if all(graph.nodes[need].done for need in node.needs)]
    if graph.study.launch.at_once is not None:
        started = sum(node.key in queued for node in on_several_nodes(graph))
        ready = ready[: max(0, graph.study.launch.at_once - started)]
    shapes = dict.fromkeys((config.nodes, config.devices) for config in map(_config, several))
    shares = dict.fromkeys(job.share for job in jobs)
    requests = [
        of_task(profile, cpus=share.cpus, gpus=share.gpus, memory_gb=memory_gb(share.cpus, profile)) for share in shares
    ]
    requests += [of_profile(profile, nodes, devices) for nodes, devices in shapes]
    findings = join([*map(check_here, requests), _time_limits(graph, costs, profile)])
    return JobPlan(
        profile=profile,
        queued=queued,
        runs=tuple(ready),
        later=tuple(name for name in graph.nodes if name in later and graph.nodes[name] not in ready),
        jobs=tuple(jobs),
        report=Report(tuple(dict.fromkeys(findings))),
    )


def queued_nodes(graph: Graph) -> dict[str, QueuedTask]:
    """What makes each node that waits or runs in Slurm, by the fingerprints of the nodes.

    Raises:
        SlurmError: Slurm does not say what is left of the study's job arrays.
        RefusedError: or of a run on several nodes.
    """
    queued = queued_tasks(graph.out)
    for node in graph.nodes.values():
        folder = RunFolder(node.out)
        if node.verb not in RUNS or node.done or not folder.record_file.is_file():
            continue
        if folder.read_record().launch == "slurm":
            now = look(folder)
            if now.view.job is not None and not now.state.ended:
                reason = "" if now.job is None else now.job.reason
                queued[node.key] = QueuedTask(
                    job=now.view.job, id=now.view.job, runs=now.state.name != "queued", reason=reason
                )
    return queued


def submit_run(graph: Graph, run: Node) -> str:
    """Submit a run on several nodes, as `navforge train launch=slurm` does; return what became of it, in words."""
    launch, folder = graph.study.launch, RunFolder(run.out)
    limit = [] if launch.time_limit is None else [f"time_limit={launch.time_limit}"]
    words = [*COMMAND, run.verb, *run.words, "launch=slurm", f"cluster={launch.cluster}", *limit]
    before = _jobs(folder)
    path = log_path(graph.out, run)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab") as log:
        mark_start(log, words)
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False)
    new = _jobs(folder)[len(before) :]
    if new:
        return f"job {new[-1]}: {run_words(run)}"
    return f"{run.name}: not submitted: {last_error(path) or remedy(graph, run)}"


def _jobs(folder: RunFolder) -> tuple[str, ...]:
    """Every job that a run has had."""
    return folder.read_record().jobs if folder.record_file.is_file() else ()


def run_words(run: Node) -> str:
    """`frozen, seed 0, 2 node(s) x 4 rank(s)`."""
    config = _config(run)
    return f"{run.name}, {config.nodes} node(s) x {config.devices} rank(s)"


def _config(node: Node) -> Any:
    return configure(node.verb, node.words)


def after_words(what: tuple[str, ...], between: str = ", ") -> str:
    """`, after 41, 42`."""
    return f", after {between.join(what)}" if what else ""


def queue_lines(queued: Mapping[str, QueuedTask]) -> Iterator[str]:
    """`job 44: 3 running, 9 waiting (Resources)`, for each job."""
    jobs: dict[str, set[QueuedTask]] = {}
    for task in queued.values():
        jobs.setdefault(task.job, set()).add(task)
    for job, tasks in jobs.items():
        waiting = [task for task in tasks if not task.runs]
        reasons = ", ".join(sorted({task.reason for task in waiting} - {""}))
        counts = {"running": len(tasks) - len(waiting), "waiting": len(waiting)}
        words = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        yield f"job {job}: {words}" + (f" ({reasons})" if reasons else "")


def later_words(names: tuple[str, ...]) -> str:
    """What cannot be submitted yet."""
    return (
        f"{len(names)} more cannot be submitted yet ({names[0]} for one): a run on several nodes is once what it reads "
        "is there and at_once allows it, then what reads it. The same command does so then, with wait=true this one"
    )


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

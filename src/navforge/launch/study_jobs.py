"""A study on Slurm: a job for each stage, and a job array of its runs with their evaluations.

A run on several nodes is a job of its own, by `navforge train`; what reads it waits for that.

OUT/slurm/N/                  a submission; they are counted from 1
  study.yaml, code/           the study file, and navforge, as they were
  work.json                   nodes of each task, by name, with their fingerprints
  NAME.sbatch, NAME.job       of each job: its script and, once it is submitted, its id
  logs/task-ID_TASK.log       what a task printed

A task makes its nodes as `studies.run` does on any machine. It begins once the jobs before it have ended, however they
ended, and finds out from files whether what it reads is there. Tasks are numbered through a submission.
"""

from __future__ import annotations

import itertools
import re
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core.errors import ConfigError, DataError
from navforge.core.files import fingerprint, write_json, write_text
from navforge.core.outside.text import read_json
from navforge.launch import array, snapshot
from navforge.launch.array import ArrayFacts
from navforge.slurm import client as slurm
from navforge.slurm.profile import ClusterProfile
from navforge.studies.graph import RUN, RUNS, STAGE, Configure, Graph, Node, needs_slurm, unfold
from navforge.studies.run import Slots, run_nodes
from navforge.studies.study_file import Launch, read_study

STUDY, WORK = "study.yaml", "work.json"
ENCODE = "encode"
"""The one stage that takes a GPU unless it is told not to."""


@dataclass(frozen=True, order=True)
class Share:
    """What a task gets of a node."""

    cpus: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class StudyJob:
    """A job array; of a stage it has one task."""

    name: str
    tasks: tuple[tuple[str, ...], ...]
    """Names of the nodes that each task makes, in their order."""
    share: Share
    after: tuple[str, ...]
    """Names of nodes that other jobs make before it begins."""
    side_by_side: int = 1
    """Runs at once in a task."""
    at_once: int | None = None
    """Tasks at once; None: as many as the cluster takes."""

    def facts(self, folder: Path, first: int) -> ArrayFacts:
        """What its script has to know.

        Args:
            folder: of the submission.
            first: number of its first task.
        """
        return ArrayFacts(
            folder=folder,
            name=_job_name(folder, self.name),
            command=("study-task", str(folder)),
            tasks=len(self.tasks),
            first=first,
            at_once=self.at_once,
            resumes=True,
            cpus=self.share.cpus,
            gpus=self.share.gpus,
            directory=Path.cwd(),
            python=sys.executable,
        )


def plan_jobs(
    graph: Graph, profile: ClusterProfile, configure: Configure, queued: Collection[str] = ()
) -> list[StudyJob]:
    """The jobs that make what is missing, those of stages first.

    Args:
        graph: of the study.
        profile: of the cluster.
        configure: config of a verb from its words.
        queued: fingerprints of nodes that jobs make already.

    Raises:
        ConfigError: a run needs more GPUs than a node has.
    """
    launch = graph.study.launch
    later = waits_for_nodes(graph, queued)
    missing = [
        node for node in graph.nodes.values() if not node.done and node.key not in queued and node.name not in later
    ]
    jobs = [
        StudyJob(
            name=node.out.name,
            tasks=((node.name,),),
            share=_share(node, 1, launch, profile, configure, train=True),
            after=_after(graph, [node.name]),
        )
        for node in missing
        if node.kind == STAGE
    ]
    units: dict[str, list[Node]] = {}
    for node in missing:
        if node.kind != STAGE:
            units.setdefault(_run_of(graph, node).name, []).append(node)
    by_share: dict[Share, list[list[Node]]] = {}
    for run, nodes in units.items():
        train = any(node.name == run for node in nodes)
        share = _share(graph.nodes[run], launch.runs_per_job, launch, profile, configure, train=train)
        by_share.setdefault(share, []).append(nodes)
    for number, (share, alike) in enumerate(by_share.items(), 1):
        tasks = tuple(
            tuple(node.name for nodes in alike[first : first + launch.runs_per_job] for node in nodes)
            for first in range(0, len(alike), launch.runs_per_job)
        )
        jobs.append(
            StudyJob(
                name="runs" if len(by_share) == 1 else f"runs-{number}",
                tasks=tasks,
                share=share,
                after=_after(graph, [name for task in tasks for name in task]),
                side_by_side=launch.runs_per_job,
                at_once=None if launch.at_once is None else max(1, launch.at_once // launch.runs_per_job),
            )
        )
    return jobs


def on_several_nodes(graph: Graph) -> list[Node]:
    """Runs, done or not, that need more than one node of a cluster."""
    return [node for node in graph.nodes.values() if needs_slurm(node.verb, node.words)]


def waits_for_nodes(graph: Graph, queued: Collection[str]) -> set[str]:
    """Names of runs on several nodes that are neither done nor in a job, and of what reads them, directly or not."""
    later = {node.name for node in on_several_nodes(graph) if not node.done and node.key not in queued}
    for node in graph.nodes.values():
        if not node.done and node.key not in queued and not later.isdisjoint(node.needs):
            later.add(node.name)
    return later


def _share(
    node: Node, runs: int, launch: Launch, profile: ClusterProfile, configure: Configure, *, train: bool
) -> Share:
    """What a task gets: the share of a node of what it makes, at most all of it.

    Args:
        node: that it makes, or one of runs that are alike.
        runs: how many it makes side by side.
        launch: what is asked for.
        profile: of the cluster.
        configure: config of a verb from its words.
        train: whether it trains the runs, or evaluates them only.

    Raises:
        ConfigError: a run alone needs more.
    """
    ranks, on_gpu = _ranks(node, configure)
    ranks = ranks if train else 1
    if ranks > profile.gpus_per_node:
        raise ConfigError(
            f"devices: {node.name} has {ranks} ranks, a node of {profile.name} has {profile.gpus_per_node} GPUs; lower "
            "devices or change cluster"
        )
    count = min(runs * ranks, profile.gpus_per_node)
    gpus = min(launch.gpus or count, profile.gpus_per_node) if on_gpu else 0
    return Share(cpus=launch.cpus or (gpus or count) * profile.cpus_per_rank, gpus=gpus)


def _ranks(node: Node, configure: Configure) -> tuple[int, bool]:
    """How many ranks train, 1 for what is no run; whether each takes a GPU."""
    config = configure(node.verb, node.words)
    if node.verb in RUNS:
        return config.devices, config.train.accelerator != "cpu"
    device = getattr(config, "device", "cpu")
    return 1, node.kind == STAGE and (device == "cuda" or (node.verb == ENCODE and device == "auto"))


def _run_of(graph: Graph, node: Node) -> Node:
    """The run that an evaluation is of; itself for a run and for a floor."""
    return next((graph.nodes[need] for need in node.needs if graph.nodes[need].kind == RUN), node)


def _after(graph: Graph, names: Sequence[str]) -> tuple[str, ...]:
    needs = dict.fromkeys(need for name in names for need in graph.nodes[name].needs)
    return tuple(need for need in needs if need not in names and not graph.nodes[need].done)


def describe(job: StudyJob, profile: ClusterProfile) -> str:
    """`48 runs and evaluations, 12 tasks of 16 CPU(s) and 2 GPU(s), 4 at once, 2-00:00:00 at most each, on NAME`."""
    nodes = [name for task in job.tasks for name in task]
    what = nodes[0] if len(nodes) == 1 else f"{len(nodes)} runs and evaluations"
    share = f"{job.share.cpus} CPU(s)" + (f" and {job.share.gpus} GPU(s)" if job.share.gpus else "")
    throttle = "" if job.at_once is None else f", {job.at_once} at once"
    return (
        f"{what}, {len(job.tasks)} task(s) of {share}{throttle}, {profile.time_limit} at most each, on {profile.name}"
    )


@dataclass(frozen=True, kw_only=True)
class QueuedTask:
    """A task of a job array, or a job, that waits, runs or ends just now."""

    job: str
    """Id of the job, or of the whole job array."""
    id: str
    """The same or, of a task of an array, `12_3`; as Slurm's commands take it."""
    runs: bool
    """Whether it has begun."""
    reason: str
    """Why it waits, as Slurm puts it; empty where nothing is wrong."""


def queued_tasks(out: Path) -> dict[str, QueuedTask]:
    """Tasks of a study that wait or run, by the fingerprints of the nodes that they make.

    Also of a job whose submission was cut off before its id was written down.

    Raises:
        SlurmError: squeue gives no answer.
    """
    jobs: dict[str, list[dict[str, str]]] = {}
    for folder in _submissions(out):
        work = read_json(folder / WORK, "list of work")
        for name in work["jobs"]:
            job = _job_id(folder, name)
            if job is not None:
                jobs[job] = work["tasks"]
    queued = {}
    for entry in slurm.alive(list(jobs)):
        job = entry.shown_as.partition("_")[0]
        reason = "" if entry.reason == "None" else entry.reason
        for number in array.numbers(entry.shown_as):
            task = QueuedTask(job=job, id=f"{job}_{number}", runs=entry.state != "PENDING", reason=reason)
            queued |= {key: task for key in jobs[job][number].values()}
    return queued


def _job_id(folder: Path, name: str) -> str | None:
    path = _id_file(folder, name)
    if not path.is_file() and (named := slurm.named(_job_name(folder, name))):
        write_text(path, f"{named[0].shown_as.partition('_')[0]}\n")
    return path.read_text().strip() if path.is_file() else None


def _id_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.job"


def _submissions(out: Path) -> list[Path]:
    """Folders of submissions whose work was written down, oldest first."""
    return sorted((path.parent for path in out.glob(f"slurm/*/{WORK}")), key=lambda path: int(path.name))


def _job_name(folder: Path, name: str) -> str:
    """Name of a job, the same for no other submission; letters, digits, - and _, as Slurm takes it."""
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", f"{folder.parents[1].name}-{name}")
    return f"study-{readable}-{fingerprint(str(folder))}"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A job that Slurm has taken."""

    id: str
    job: StudyJob
    after: tuple[str, ...]
    """Jobs, or tasks of jobs, that it waits for."""


def submit(
    graph: Graph,
    file: Path,
    jobs: Sequence[StudyJob],
    profile: ClusterProfile,
    configure: Configure,
    queued: Mapping[str, QueuedTask],
) -> Iterator[Submitted]:
    """Write down what the tasks need, then submit the jobs one by one.

    Args:
        graph: of the study.
        file: the study file.
        jobs: from `plan_jobs`.
        profile: of the cluster.
        configure: config of a verb from its words.
        queued: tasks that wait or run.

    Raises:
        ConfigError: a task would need more CPUs than a node has, or a path that Slurm cannot be told.
        SlurmError: Slurm refused a job; those before it are submitted.
    """
    earlier = _submissions(graph.out)
    folder = graph.out / "slurm" / str(int(earlier[-1].name) + 1 if earlier else 1)
    starts = [0, *itertools.accumulate(len(job.tasks) for job in jobs)]
    scripts = [array.array_script(job.facts(folder, first), profile) for job, first in zip(jobs, starts, strict=False)]
    _forget_code(earlier, {task.job for task in queued.values()})
    _write_work(graph, file, jobs, configure, folder)
    makers = {node.name: queued[node.key].id for node in graph.nodes.values() if node.key in queued}
    for job, script in zip(jobs, scripts, strict=True):
        path = folder / f"{job.name}.sbatch"
        write_text(path, script)
        after = tuple(dict.fromkeys(makers[name] for name in job.after if name in makers))
        number = slurm.submit(path, *([f"--dependency=afterany:{':'.join(after)}"] if after else []))
        write_text(_id_file(folder, job.name), f"{number}\n")
        makers |= {name: number for task in job.tasks for name in task}
        yield Submitted(id=number, job=job, after=after)


def _write_work(graph: Graph, file: Path, jobs: Sequence[StudyJob], configure: Configure, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # of a submission that was cut off before it had any job
    (folder / array.LOGS).mkdir(parents=True)
    tasks = [(job, task) for job in jobs for task in job.tasks]
    nodes = [graph.nodes[name] for _, task in tasks for name in task]
    snapshot.take(folder / array.CODE, classes=_classes(nodes, configure))
    shutil.copyfile(file, folder / STUDY)
    work = {
        "jobs": [job.name for job in jobs],
        "tasks": [{name: graph.nodes[name].key for name in task} for _, task in tasks],
        "side_by_side": [job.side_by_side for job, _ in tasks],
    }
    write_json(folder / WORK, work)


def _forget_code(submissions: Sequence[Path], live: set[str]) -> None:
    """Remove the code of submissions that have no job left; their logs stay."""
    for folder in submissions:
        if live.isdisjoint(path.read_text().strip() for path in folder.glob("*.job")):
            shutil.rmtree(folder / array.CODE, ignore_errors=True)


def _classes(nodes: Sequence[Node], configure: Configure) -> set[type[Any]]:
    """Classes of other packages that nodes use."""
    return {cls for node in nodes for cls in getattr(configure(node.verb, node.words), "classes", ())}


def run_task(folder: Path, number: int, configure: Configure, gpus: tuple[str, ...]) -> list[Node]:
    """Make the nodes of a task; return those that are not done afterwards.

    Args:
        folder: of the submission.
        number: of the task.
        configure: config of a verb from its words.
        gpus: of this machine that it may use.

    Raises:
        DataError: there is no such task, or a file that its nodes are made by is not what it was.
    """
    work = read_json(folder / WORK, "list of work")
    if number >= len(work["tasks"]):
        raise DataError(f"{folder / WORK} has no task {number}")
    task: dict[str, str] = work["tasks"][number]
    graph = unfold(read_study(folder / STUDY), folder.parents[1], configure)
    for name, key in task.items():
        if name not in graph.nodes or graph.nodes[name].key != key:
            raise DataError(
                f"{name} is not what was submitted: a recipe or another file that the study names has changed since; "
                "give the same navforge study run command again"
            )
    return run_nodes(graph, list(task), Slots(at_once=work["side_by_side"][number], gpus=gpus))

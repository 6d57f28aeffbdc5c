"""`navforge study run FILE`: make what is missing of a study; the same command goes on wherever it was stopped."""

from __future__ import annotations

from navforge.cli.keys.studies import SLURM
from navforge.cli.keys.study_run import Config
from navforge.cli.study_files import configure, graph_to_launch, visible_gpus
from navforge.cli.study_slurm import after_words, later_words, look_ahead, queued_nodes, submit_run
from navforge.core import provenance
from navforge.core.errors import ConfigError
from navforge.core.files import sole_use
from navforge.core.screen import say
from navforge.jobs.control import RefusedError
from navforge.launch import array
from navforge.launch.study_jobs import describe, on_several_nodes, submit
from navforge.slurm.client import SlurmUnreachableError
from navforge.studies.graph import Graph
from navforge.studies.plan import predictions
from navforge.studies.run import Slots, run_nodes
from navforge.studies.splits import require_no_overlap_in
from navforge.studies.state import why
from navforge.studies.study_file import study_path


def run(config: Config) -> int:
    """Make the nodes, here or by Slurm; 1 where some could not be made."""
    graph = graph_to_launch(config)
    require_no_overlap_in(graph, configure)
    for warning in graph.warnings:
        say(f"warning: {warning}")
    if config.launch == SLURM:
        if _on_slurm(config, graph):
            say(
                "this command ends here, the jobs go on without it; given again it submits what is missing then. "
                f"navforge study status {config.study} out={graph.out} shows them"
            )
            return 0
    else:
        _run_here(config, graph)
    say(f"{_done(graph)} of {len(graph.nodes)} done; navforge study report {config.study} out={graph.out}")
    return 0 if _done(graph) == len(graph.nodes) else 1


def _run_here(config: Config, graph: Graph) -> None:
    _require_no_jobs(graph)
    for node in on_several_nodes(graph):
        if not node.done:
            raise ConfigError(f"nodes: {node.name} trains on several nodes, which Slurm starts; give launch=slurm")
    slots = Slots(at_once=graph.study.launch.at_once or 1, gpus=visible_gpus())
    with sole_use(graph.out):
        provenance.record(graph.out, config, name="study")
        run_nodes(graph, list(graph.nodes), slots)


def _require_no_jobs(graph: Graph) -> None:
    """Raise ConfigError where jobs of Slurm make, or will make, a part of the study."""
    try:
        queued = queued_nodes(graph)
    except (SlurmUnreachableError, RefusedError) as error:
        say(f"warning: whether jobs of an earlier launch=slurm are left is not known: {error}")
        return
    missing = [queued[node.key].job for node in graph.nodes.values() if not node.done and node.key in queued]
    if missing:
        jobs = " ".join(dict.fromkeys(missing))
        raise ConfigError(
            f"launch: {len(missing)} of what is missing waits or runs in Slurm (job {jobs}); wait for it, give "
            f"launch=slurm to submit the rest, or end it: scancel {jobs}"
        )


def _on_slurm(config: Config, graph: Graph) -> bool:
    """Submit what is missing; whether jobs are left that this command does not wait for."""
    before = -1
    while _done(graph) > before:
        before = _done(graph)
        jobs, later = _submit(config, graph)
        if jobs and not config.wait:
            return True
        for job in jobs:
            array.watch(job, done=lambda: _done(graph), total=len(graph.nodes), label=graph.study.name)
        if not later:
            break
    for node in graph.nodes.values():
        if not node.done:
            say(f"{node.name}: {why(graph, node)}")
    return False


def _submit(config: Config, graph: Graph) -> tuple[list[str], bool]:
    """Submit what is missing and in no job yet.

    Returns:
        The jobs that are left, those of earlier commands too; whether there is more to submit once they have ended.

    Raises:
        PreflightError: the cluster would never start a job.
    """
    with sole_use(graph.out):
        plan = look_ahead(graph, predictions(graph, configure, None))
        plan.report.require()
        for line in plan.warnings():
            say(line)
        provenance.record(graph.out, config, name="study")
        if plan.queued:
            left = " ".join(dict.fromkeys(task.job for task in plan.queued.values()))
            say(f"{len(plan.queued)} stages, runs and evaluations wait or run already: job {left}")
        for run in plan.runs:
            say(submit_run(graph, run), flush=True)
        if plan.runs:
            plan = look_ahead(graph, {})
        jobs = list(dict.fromkeys(task.job for task in plan.queued.values()))
        if plan.jobs:
            for one in submit(graph, study_path(config.study), plan.jobs, plan.profile, configure, plan.queued):
                say(f"job {one.id}: {describe(one.job, plan.profile)}{after_words(one.after)}", flush=True)
                jobs.append(one.id)
        if plan.later:
            say(later_words(plan.later))
    return jobs, bool(plan.later)


def _done(graph: Graph) -> int:
    return sum(node.done for node in graph.nodes.values())

"""Jobs of a study: what is in which, with what share of a node; what is queued already is in none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from navforge.cli.study_files import configure
from navforge.cli.study_slurm import queue_lines
from navforge.core.errors import ConfigError
from navforge.launch.study_jobs import (
    QueuedTask,
    Share,
    StudyJob,
    describe,
    on_several_nodes,
    plan_jobs,
    waits_for_nodes,
)
from navforge.slurm.profile import ClusterProfile
from navforge.studies.graph import Graph, Node
from navforge.studies.study_file import Launch
from tests.studies import world

PROFILE = ClusterProfile(
    name="mine", nodes=2, gpus_per_node=4, cpus_per_node=32, memory_gb=64, time_limit="1:00:00"
)  # 8 CPUs per rank


def graph(tmp_path: Path, launch: dict[str, Any] | None = None, **changes: Any) -> Graph:
    made = world.graph(tmp_path, **changes)
    return replace(made, study=replace(made.study, launch=Launch(**(launch or {}))))


def finish(node: Node) -> None:
    node.out.mkdir(parents=True)
    node.marker.write_text("{}")


def jobs(study: Graph, queued: set[str] | None = None) -> list[StudyJob]:
    return plan_jobs(study, PROFILE, configure, queued or set())


def on_gpu(**keys: Any) -> dict[str, Any]:
    shared = {**world.STUDY["shared"], "train": {"epochs": 2}, **keys}
    return {"shared": shared}


def test_a_job_per_stage_then_one_array_of_runs_with_their_evaluations_seed_by_seed(tmp_path: Path) -> None:
    study = graph(tmp_path, {"at_once": 4, "runs_per_job": 2})
    town, test, train, runs = jobs(study)
    assert [job.tasks for job in (town, train, test)] == [(("town",),), (("cache train",),), (("cache test",),)]
    assert [job.after for job in (town, train, test)] == [(), ("town",), ("town",)]
    assert (runs.name, runs.side_by_side, runs.at_once) == ("runs", 2, 2)
    assert set(runs.after) == {"town", "cache train", "cache test"}
    assert runs.tasks[:2] == (
        ("constant velocity, on test", "narrow, 50 %, seed 0", "narrow, 50 %, seed 0, on test"),
        (
            "narrow, 100 %, seed 0",
            "narrow, 100 %, seed 0, on test",
            "wide, 50 %, seed 0",
            "wide, 50 %, seed 0, on test",
        ),
    )
    listed = [name for job in (town, train, test, runs) for task in job.tasks for name in task]
    assert sorted(listed) == sorted(study.nodes), "each node is in one task"
    assert describe(runs, PROFILE) == (
        "17 runs and evaluations, 5 task(s) of 16 CPU(s), 2 at once, 1:00:00 at most each, on mine"
    )
    assert describe(town, PROFILE) == "town, 1 task(s) of 8 CPU(s), 1:00:00 at most each, on mine"


def test_what_is_done_or_queued_is_in_no_job_and_is_waited_for(tmp_path: Path) -> None:
    study = graph(tmp_path)
    for name in ("town", "cache train", "narrow, 50 %, seed 0"):
        finish(study.nodes[name])
    queued = {study.nodes[name].key for name in ("cache test", "wide, 50 %, seed 0")}
    (runs,) = jobs(study, queued)
    assert runs.at_once is None and ("narrow, 50 %, seed 0, on test",) in runs.tasks
    assert ("wide, 50 %, seed 0, on test",) in runs.tasks and set(runs.after) == {"cache test", "wide, 50 %, seed 0"}
    assert jobs(study, {node.key for node in study.nodes.values()}) == []


def test_the_share_of_a_node_is_that_of_the_runs_side_by_side(tmp_path: Path) -> None:
    def shares(launch: dict[str, Any], **changes: Any) -> set[Share]:
        study = graph(tmp_path, launch, floors={}, **changes)
        return {job.share for job in jobs(study) if job.name.startswith("runs")}

    assert shares({}) == {Share(cpus=8, gpus=0)}
    assert shares({"runs_per_job": 3}) == {Share(cpus=24, gpus=0)}
    assert shares({"runs_per_job": 9}) == {Share(cpus=32, gpus=0)}, "at most a node"
    assert shares({}, **on_gpu()) == {Share(cpus=8, gpus=1)}
    assert shares({"runs_per_job": 2}, **on_gpu(devices=2)) == {Share(cpus=32, gpus=4)}
    assert shares({"runs_per_job": 8, "gpus": 1}, **on_gpu()) == {Share(cpus=8, gpus=1)}, "small runs share one"
    assert shares({"cpus": 5}, **on_gpu()) == {Share(cpus=5, gpus=1)}
    with pytest.raises(ConfigError, match="has 5 ranks, a node of mine has 4 GPUs"):
        shares({}, **on_gpu(devices=5))


def test_runs_of_another_shape_are_an_array_of_their_own(tmp_path: Path) -> None:
    factors = {"width": {"narrow": {}, "wide": {"planner.head.hidden": 32, "devices": 2}}}
    found = jobs(graph(tmp_path, factors=factors, floors={}, **on_gpu()))
    by_name = {job.name: (job.share.gpus, len(job.tasks)) for job in found if job.name.startswith("runs")}
    assert by_name == {"runs-1": (1, 2), "runs-2": (2, 2)}


def test_a_run_on_several_nodes_is_in_no_array_and_its_evaluation_waits_for_its_job(tmp_path: Path) -> None:
    factors = {"width": {"narrow": {}, "wide": {"planner.head.hidden": 32, "nodes": 2, "devices": 4}}}
    study = graph(tmp_path, factors=factors, floors={}, seeds=[0], **on_gpu())
    assert [node.name for node in on_several_nodes(study)] == ["wide, seed 0"]
    planned = [name for job in jobs(study) for task in job.tasks for name in task]
    assert planned == ["town", "cache train", "cache test", "narrow, seed 0", "narrow, seed 0, on test"]
    assert waits_for_nodes(study, ()) == {"wide, seed 0", "wide, seed 0, on test"}
    for name in ("town", "cache train", "cache test", "narrow, seed 0", "narrow, seed 0, on test"):
        finish(study.nodes[name])
    (evaluation,) = jobs(study, {study.nodes["wide, seed 0"].key})
    assert evaluation.tasks == (("wide, seed 0, on test",),) and evaluation.after == ("wide, seed 0",)
    assert evaluation.share == Share(cpus=8, gpus=1), "an evaluation is one process"
    assert not waits_for_nodes(study, {study.nodes["wide, seed 0"].key})


def test_what_is_in_the_queue_is_told_job_by_job() -> None:
    tasks = [
        QueuedTask(job="44", id=f"44_{number}", runs=number == 0, reason=reason)
        for number, reason in enumerate(("", "Resources", "JobArrayTaskLimit", "JobArrayTaskLimit"))
    ]
    alone = QueuedTask(job="45", id="45", runs=True, reason="")
    queued = {str(place): task for place, task in enumerate([*tasks, tasks[1], alone])}
    assert list(queue_lines(queued)) == [
        "job 44: 1 running, 3 waiting (JobArrayTaskLimit, Resources)",
        "job 45: 1 running",
    ]

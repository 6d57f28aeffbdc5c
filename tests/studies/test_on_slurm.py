"""A study on a real Slurm: tasks need nobody; killed, cancelled or sent back, the same command goes on."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

import navforge
from navforge.cli.main import main
from navforge.launch import study_jobs
from navforge.launch.study_jobs import queued_tasks
from navforge.runs.folder import RunFolder
from navforge.runs.status import read_attempts
from navforge.studies.graph import RUN
from navforge.studies.state import FAILED, STOPPED, WAITING, state_of
from tests.built_once import built_once
from tests.e2e.world import EVERY_WINDOW, World, make_world
from tests.slurm_cluster.cluster import Cluster, wait_for
from tests.studies.test_run import TOY, calls
from tests.studies.world import STUDY, graph, study, write

__all__ = ["calls"]

ON_SLURM = ["launch=slurm", "cluster=l40s_4x4"]
REAL = Path(navforge.__file__).parent


@pytest.fixture
def toy_verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks run `study-task` of this checkout, and toys in the place of the verbs that it starts."""

    def take(code: Path, *, classes: object) -> None:
        package = code / "navforge"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"__path__.append({str(REAL)!r})\n")
        main_program = "import sys\nif sys.argv[1] == 'study-task':\n    from navforge.cli.main import main\n"
        (package / "__main__.py").write_text(f"{main_program}    sys.exit(main())\n{TOY}")

    monkeypatch.setattr(study_jobs.snapshot, "take", take)


def waiting(slurm: Cluster) -> set[str]:
    """Jobs in the queue, an array's tasks one by one."""
    return set(slurm.call("squeue", "-h", "-r", "-o", "%i").split())


def test_what_fails_stops_what_needs_it_what_is_cancelled_goes_on_and_nothing_is_made_twice(
    toy_verbs: None,
    calls: Path,
    slurm: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, out = write(tmp_path / "study.yaml", study()), tmp_path / "OUT"
    made = graph(tmp_path)
    words = ["study", "run", str(path), f"out={out}", *ON_SLURM, "at_once=8", "runs_per_job=4"]
    failing, hanging = "narrow, 50 %, seed 0", "narrow, 100 %, seed 1"
    monkeypatch.setenv("FAILS", "narrow_50_pc_seed_0")
    monkeypatch.setenv("HANGS", "narrow_100_pc_seed_1")
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "17 runs and evaluations, 3 task(s) of 128 CPU(s), 2 at once" in said and "this command ends here" in said
    submitted = {task.job for task in queued_tasks(out).values()}
    path.write_text("changed: meanwhile")  # tasks have their own copy
    path = write(path, study())
    assert main(words) == 0
    assert "20 stages, runs and evaluations wait or run already" in capsys.readouterr().out
    assert {task.partition("_")[0] for task in waiting(slurm)} <= submitted, "nothing is submitted twice"
    assert main(["study", "run", str(path), f"out={out}"]) == 2
    assert "of what is missing waits or runs in Slurm" in capsys.readouterr().err

    left = made.nodes[hanging]
    wait_for(lambda: f"train {left.out.name}" in calls.read_text(), "the run that hangs")
    task = queued_tasks(out)[left.key]
    wait_for(lambda: waiting(slurm) == {task.id}, "all other tasks")
    assert main(["study", "status", str(path), f"out={out}", "watch=false"]) == 0
    said = capsys.readouterr().out
    assert f"seed 1: running, job {task.id}" in said and f"job {task.job}: 1 running\n" in said
    slurm.call("scancel", "--signal=USR1", task.id)  # as Slurm does before the time limit
    wait_for(lambda: calls.read_text().count(f"train {left.out.name}") == 2, "the task to come back from the queue")
    slurm.call("scancel", task.id)
    wait_for(lambda: not waiting(slurm), "the end of the last task")
    ends = {name: state_of(made, made.nodes[name]) for name in (failing, hanging, f"{failing}, on test")}
    assert ends == {failing: FAILED, hanging: STOPPED, f"{failing}, on test": WAITING}
    assert sum(node.done for node in made.nodes.values()) == len(made.nodes) - 4

    monkeypatch.delenv("FAILS")
    monkeypatch.delenv("HANGS")
    assert main([*words, "wait=true"]) == 0
    said = capsys.readouterr().out
    assert "4 runs and evaluations, 1 task(s)" in said and "20 of 20 done" in said
    times = Counter(calls.read_text().splitlines())
    again = {line.partition(" ")[2]: count for line, count in times.items() if count > 1}
    assert again == {made.nodes[failing].out.name: 2, left.out.name: 3}
    assert len(times) == len(made.nodes)
    assert main(words) == 0 and "20 of 20 done" in capsys.readouterr().out and not waiting(slurm)


def test_what_the_cluster_would_never_start_is_not_submitted(
    slurm: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "study.yaml", study())
    words = [str(path), f"out={tmp_path / 'OUT'}", "launch=slurm"]
    assert main(["study", "run", *words]) == 2
    assert "launch=slurm needs a profile" in capsys.readouterr().err
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "name: w\npartition: l40s_publc\nnodes: 1\ngpus_per_node: 4\ncpus_per_node: 8\nmemory_gb: 8\ntime_limit: '9'\n"
    )
    words.append(f"cluster={wrong}")
    assert main(["study", "run", *words]) == 2
    assert "the cluster has no partition 'l40s_publc'; partition=l40s_public" in capsys.readouterr().err
    assert main(["study", "plan", *words, "measure=false"]) == 0
    said = capsys.readouterr().out
    assert "Jobs that study run launch=slurm would submit: 4" in said and "refused: the cluster has no" in said
    assert not waiting(slurm) and not list((tmp_path / "OUT").iterdir())


@pytest.mark.slow
def test_killed_on_the_cluster_and_gone_on_with_it_has_the_scores_of_a_local_run(
    slurm: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    factors = {"width": {"narrow": STUDY["factors"]["width"]["narrow"]}}
    shared = {**STUDY["shared"], "train": {**STUDY["shared"]["train"], "epochs": 60, "checkpoint_minutes": 0.01}}
    changes = {"factors": factors, "shared": shared, "floors": {}, "seeds": [0], "comparisons": []}
    path, here, there = write(tmp_path / "study.yaml", study(**changes)), tmp_path / "here", tmp_path / "OUT"
    assert main(["study", "run", str(path), f"out={here}", "at_once=1"]) == 0
    shutil.copytree(here / "stages", there / "stages")
    words = ["study", "run", str(path), f"out={there}", *ON_SLURM, "at_once=1"]
    assert main(words) == 0
    made = graph(tmp_path, **changes)
    first = next(node for node in made.nodes.values() if node.kind == RUN)
    wait_for((first.out / "checkpoints" / "last.ckpt").is_file, "a checkpoint of the first run")
    task = queued_tasks(there)[first.key]
    slurm.call("scancel", "--signal=KILL", "--full", task.id)  # what watches over the run too: nothing is written
    wait_for(lambda: task.id not in waiting(slurm), "the end of the task")
    assert not first.done
    assert main([*words, "wait=true"]) == 0
    assert main([*words, "wait=true"]) == 0
    assert f"{len(made.nodes)} of {len(made.nodes)} done" in capsys.readouterr().out
    assert len(read_attempts(RunFolder(first.out).attempts)) == 2
    tables = sorted(here.glob("evaluations/*/*/*.parquet"))
    assert len(tables) == 2
    for table in tables:  # scene by scene: no table of the report can differ
        assert pl.read_parquet(table).equals(pl.read_parquet(there / table.relative_to(here))), table


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(built_once(tmp_path_factory, "e2e_world", make_world))


@pytest.mark.slow
def test_a_run_on_several_nodes_is_a_job_of_its_own_and_is_evaluated_after_it(
    slurm: Cluster, town: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = tmp_path / "scored.yaml"
    scored.write_text(EVERY_WINDOW)
    values = {
        "name": "nodes",
        "question": "Does it train on two nodes?",
        "data": {"logs": str(town.path / "town" / "navsim_logs"), "maps": str(town.path / "town" / "maps")},
        "shared": {
            **{"agent": "ego_mlp", "split": str(town.path / "split.yaml"), "cache": str(town.path / "cache")},
            **{"nodes": 2, "preflight": False},
            "train": {"accelerator": "cpu", "epochs": 2, "batch_size": 1, "loader_workers": 0, "smoke_scenes": 0},
        },
        "factors": {"width": {"narrow": {"planner.head.hidden": 16}}},
        "seeds": [0],
        "evaluate": {"test": {"split": str(scored), "cache": str(town.path / "cache"), "device": "cpu", "workers": 1}},
    }
    path, out = write(tmp_path / "study.yaml", values), tmp_path / "OUT"
    words = ["study", "run", str(path), f"out={out}"]
    assert main(words) == 2
    assert "narrow, seed 0 trains on several nodes, which Slurm starts; give launch=slurm" in capsys.readouterr().err
    assert main(["study", "plan", str(path), f"out={out}", *ON_SLURM, "measure=false"]) == 0
    assert "narrow, seed 0, 2 node(s) x 1 rank(s)" in capsys.readouterr().out
    assert main([*words, *ON_SLURM]) == 0
    said = capsys.readouterr().out
    (run,) = out.glob("runs/*")
    (job,) = RunFolder(run).read_record().jobs
    assert f"job {job}: narrow, seed 0, 2 node(s) x 1 rank(s)" in said and f", after {job}\n" in said
    assert main([*words, *ON_SLURM, "wait=true"]) == 0
    said = capsys.readouterr().out
    assert "2 stages, runs and evaluations wait or run already" in said and "2 of 2 done" in said
    assert RunFolder(run).read_record().jobs == (job,)

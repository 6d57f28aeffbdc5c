"""Each failure of the user's log, as it was made, and the refusal that now comes first."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from navforge.cli.main import main
from navforge.core.sizes import GIB
from navforge.models.planner_config import PlannerConfig
from navforge.preflight import probe
from navforge.preflight.context import PreflightContext
from navforge.preflight.contract import check_planner
from navforge.preflight.files import open_files
from navforge.preflight.finding import REFUSED, Finding
from navforge.preflight.machine import this_machine
from navforge.preflight.memory import LOADERS_TOGETHER, HostPlan, LoaderCost, check_memory
from navforge.preflight.node import on_node
from navforge.preflight.request import Request
from navforge.training.config import TrainConfig
from navforge.training.loop.epochs import EpochPlan
from navforge.training.loop.loaders import train_loader, val_loader
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import RankInfo
from navforge.training.run_config import RunConfig

from .conftest import BLIND, town_data
from .lists import ListsConfig, ListsHeadConfig
from .test_allocation import environment

EIGHT_GPUS = """#!/bin/bash
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=16
#SBATCH --mem=1900G
#SBATCH --time=12:00:00
srun navforge rank run
"""
RUN = ("agent=ego_mlp", "split=train", "out=run", "cache=cache", "train.batch_size=8")


def refusals(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, *words: str
) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit status of `navforge preflight script=...` and its refusals by check."""
    import json  # noqa: PLC0415

    (folder / "job.sbatch").write_text(text)
    out = folder / "report.json"
    status = main(["preflight", f"script={folder / 'job.sbatch'}", f"json={out}", *RUN, *(words or ("devices=8",))])
    capsys.readouterr()
    found = json.loads(out.read_text())["findings"]
    return status, {finding["check"]: finding for finding in found if finding["level"] == REFUSED}


JOB_CHECKS = {"tasks", "placement", "srun", "gpus", "cpus"}


def test_the_script_as_it_should_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = refusals(tmp_path, capsys, EIGHT_GPUS)
    assert not JOB_CHECKS & set(found), "data are missing here, but the job itself is sound"


def test_gres_gpu_1_with_8_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = refusals(tmp_path, capsys, EIGHT_GPUS.replace("gpu:8", "gpu:1"))
    assert status == 2 and set(found) & JOB_CHECKS == {"gpus"}
    assert "1 GPU per node for 8 ranks" in found["gpus"]["message"]
    assert found["gpus"]["remedy"] == "#SBATCH --gres=gpu:8"


def test_8_expected_and_ntasks_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = refusals(tmp_path, capsys, EIGHT_GPUS.replace("--ntasks-per-node=8", "--ntasks=1"))
    assert status == 2 and set(found) & JOB_CHECKS == {"tasks"}
    assert "1 rank would wait for 7 that never start" in found["tasks"]["message"]
    assert "--ntasks-per-node=8" in found["tasks"]["remedy"]


def test_no_srun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = refusals(tmp_path, capsys, EIGHT_GPUS.replace("srun navforge", "navforge"))
    assert status == 2 and set(found) & JOB_CHECKS == {"srun"}
    assert found["srun"]["remedy"].startswith("put srun before")


ONE_TASK = EIGHT_GPUS.replace("--ntasks-per-node=8", "--ntasks=1").replace("srun navforge rank run", "navforge train")
"""The ranks are started by navforge train itself."""


def test_train_in_one_task_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = refusals(tmp_path, capsys, ONE_TASK, "devices=8", "train.loader_workers=1")
    assert not JOB_CHECKS & set(found)


@pytest.mark.parametrize(
    ("old", "new", "devices", "check", "says"),
    [
        ("navforge train", "srun navforge train", 8, "srun", "srun navforge rank RUN"),
        ("--ntasks=1", "--ntasks=8", 8, "tasks", "#SBATCH --ntasks=1 and navforge train devices=8 without srun"),
        ("--nodes=1", "--nodes=2", 8, "tasks", "launch=slurm cluster="),
        ("gpu:8", "gpu:4", 8, "gpus", "#SBATCH --gres=gpu:8"),
        ("gpu:8", "gpu:8", 4, "gpus", "devices=8, or #SBATCH --gres=gpu:4"),
    ],
)
def test_train_as_the_node_would_refuse_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, devices: int, check: str, says: str
) -> None:
    text = ONE_TASK.replace(old, new)
    status, found = refusals(tmp_path, capsys, text, f"devices={devices}", "train.loader_workers=1")
    assert status == 2 and check in set(found) & JOB_CHECKS and says in found[check]["remedy"]


def test_no_srun_seen_from_within_the_job(make_config: Callable[..., RunConfig]) -> None:
    environ = environment("SLURM_JOB_ID=7 SLURM_NTASKS=8 SLURM_NTASKS_PER_NODE=8 SLURM_TASKS_PER_NODE=8 SLURM_NNODES=1")
    place = RankInfo(
        rank=0,
        local_rank=0,
        world_size=8,
        node="gh001",
        node_rank=0,
        nodes=1,
        devices=8,
        master_addr="x",
        master_port=1,
    )
    found = on_node(make_config(devices=8), place, environ)
    assert "srun" in {finding.check for finding in found.refused}


def test_one_process_sees_eight_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EIGHT_GPUS.replace("--ntasks-per-node=8", "--ntasks=1")
    status, found = refusals(tmp_path, capsys, text, "devices=1")
    assert status == 2 and "7 would stay idle" in found["gpus"]["message"]


def test_tasks_without_a_count_per_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = EIGHT_GPUS.replace("--ntasks-per-node=8", "--ntasks=8").replace("--nodes=1", "--nodes=2")
    status, found = refusals(tmp_path, capsys, text.replace("gpu:8", "gpu:4"), "nodes=2", "devices=4")
    assert status == 2 and set(found) & JOB_CHECKS == {"placement"}


COST = LoaderCost(rank_bytes=5 * GIB, worker_bytes=int(2.5 * GIB), example_bytes=2 << 20, examples_per_s=8.0)
"""Of an agent that decodes three 1080p cameras and keeps its logs in memory."""


def only(findings: Any) -> Finding:
    (finding,) = findings
    return finding


def test_8_workers_x_16_ranks() -> None:
    plan = HostPlan(ranks=16, workers=8, loaders=1, batch_size=8)
    found = only(check_memory(COST, plan, 384 * GIB, "--mem of job 7"))
    assert plan.processes == 128 and "128 loader workers" in found.message
    assert found.level == REFUSED and found.remedy == "train.loader_workers=6 fits"
    assert only(check_memory(COST, replace(plan, workers=6), 384 * GIB, "--mem of job 7")).level == "ok"


def test_validation_loaders_doubling_memory() -> None:
    alone = HostPlan(ranks=4, workers=8, loaders=1, batch_size=8)
    both = replace(alone, loaders=2)
    assert only(check_memory(COST, alone, 128 * GIB, "")).level == "ok"
    found = only(check_memory(COST, both, 128 * GIB, ""))
    assert found.level == REFUSED and "64 loader workers (8 x 2 loaders x 4)" in found.message


class Pids(torch.utils.data.Dataset[Any]):
    """Examples that say who made them."""

    in_memory = False

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"token": str(index), "inputs": {"pid": np.array(os.getpid())}, "teacher": {}}


def test_workers_of_training_are_gone_when_those_of_validation_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `LOADERS_TOGETHER` claims of the loaders that training uses."""
    config = TrainConfig(batch_size=2, loader_workers=2)
    dataset: Any = Pids()
    train, _ = train_loader(dataset, EpochPlan(8, 2), config, Ranks())
    val, _ = val_loader(dataset, config, Ranks())
    seen = {pid for batch in train for pid in batch["inputs"]["pid"].tolist()}
    during = []
    iterator = iter(val)
    for batch in iterator:
        during.append(
            {p.pid for p in psutil.Process().children(recursive=True)} & (seen | set(batch["inputs"]["pid"].tolist()))
        )
    assert len(seen) == 2 and max(map(len, during)) <= config.loader_workers * LOADERS_TOGETHER  # type: ignore[operator]


def test_a_name_saying_8192_with_another_vocabulary(
    tiny_town: Path, town_files: dict[str, Path], make_config: Callable[..., RunConfig]
) -> None:
    from navforge.training.recipes.catalog import recipe  # noqa: PLC0415

    name = "hydra_mdp_v8192_w_ep"
    config = make_config(agent=name, planner=recipe(name).planner, data=town_data(tiny_town), **town_files)
    files = open_files(config)
    found = {finding.check: finding for finding in files.findings if finding.level == REFUSED}
    assert f"{name} says 8192 entries, the vocabulary has 8" in found["vocabulary"].message
    assert not files.usable(config), "nothing is measured with the wrong vocabulary"


LISTS = PlannerConfig(name="lists", encoder=ListsConfig(), head=ListsHeadConfig())


def test_an_agent_whose_features_are_lists_trains_but_is_refused() -> None:
    planner = LISTS.build(None)
    inputs = {"status": torch.zeros(3, 8)}
    batch = {"token": ["a", "b", "c"], "inputs": inputs, "human_poses": torch.zeros(3, 8, 3), "teacher": {}}
    assert planner(inputs) is not None, "the forward pass itself does not complain"
    found = list(check_planner(planner, batch, inputs))
    assert [finding.level for finding in found] == [REFUSED]
    assert "the encoder's tokens are a list of a Tensor" in found[0].message


def test_inputs_that_are_lists_are_refused_too() -> None:
    planner = BLIND.build(None)
    status = torch.zeros(2, 8)
    batch = {"token": ["a", "b"], "inputs": {"status": status}, "human_poses": torch.zeros(2, 8, 3), "teacher": {}}
    listed: Any = {"status": list(status)}
    found = list(check_planner(planner, batch, listed))
    assert "a list of a Tensor in evaluation, not a tensor" in found[0].message
    assert [finding.level for finding in check_planner(planner, batch, {"status": status})] == ["ok"]


def test_an_agent_whose_features_are_lists_on_the_real_road(
    tiny_town: Path, town_files: dict[str, Path], make_config: Callable[..., RunConfig]
) -> None:
    """Through the same process that `navforge preflight` starts, on real scenes."""
    from navforge.data.splits import load_split  # noqa: PLC0415

    data = town_data(tiny_town)
    config = make_config(planner=LISTS, data=data, cache=town_files["cache"])
    found = probe.probe(
        Request(
            config=config,
            split=load_split("train", data),
            frames=None,
            scenes=10,
            val_scenes=0,
            batch_sizes=(2,),
            memory_bytes=GIB,
            evaluate=True,
            threads=1,
            count=False,
            seconds=500,
        )
    )
    refusals = [finding for finding in found.findings if finding.level == REFUSED]
    assert [finding.check for finding in refusals] == ["planner"] and "list" in refusals[0].message
    assert found.step is not None and not found.step.samples, "no step was tried"


def test_facts_count_the_loaders_of_this_project(make_config: Callable[..., RunConfig]) -> None:
    context = PreflightContext(config=make_config(val_split="val"), machine=this_machine())
    assert context.host_plan(4, 2).loaders == LOADERS_TOGETHER

"""The choice between a fast GPU with a queue and a slower one at once, on a real Slurm that predicts the wait."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from navforge.cli import cluster_plan
from tests.cluster_plan.made import H200, L40S, plan_of, record_run
from tests.slurm_cluster.cluster import Cluster, wait_for

HOUR = 3600.0
H200_RATE = 2.0
"""Scenes per second."""
BLOCKER = "#!/bin/bash\nsleep 600\n"


def fill_h200(slurm: Cluster, tmp_path: Path, *limits: str) -> None:
    """Jobs that take the whole H200 partition, one after the other, each for its time limit."""
    script = tmp_path / "blocker.sbatch"
    script.write_text(BLOCKER)
    options = ["--partition=h200", "--gres=gpu:h200:8", "--mem=100M", "--cpus-per-task=1", "--output=/dev/null"]
    jobs = [slurm.call("sbatch", "--parsable", *options, f"--time={limit}", str(script)).strip() for limit in limits]
    slurm.wait(jobs[0], "RUNNING")
    for job in jobs[1:]:
        wait_for(lambda job=job: "N/A" not in slurm.call("squeue", "-h", "-j", job, "-o", "%S"), "a planned start", 60)


def plan(tiny_town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[list[Any], str]:
    """The options as JSON, and what is printed."""
    root, out = tmp_path / "runs", tmp_path / "plan.json"
    cluster_plan.run(plan_of(tiny_town, f"root={root}", f"json={out}", "shapes=[1x8,2x4,4x4]", *more))
    return json.loads(out.read_text()), capsys.readouterr().out


def test_the_users_choice(slurm: Cluster, tiny_town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = plan_of(tiny_town)
    record_run(tmp_path / "runs" / "h200", config, H200, 1, 8, *[H200_RATE] * 5)
    record_run(tmp_path / "runs" / "l40s", config, L40S, 2, 4, *[0.87 * H200_RATE] * 5)
    record_run(tmp_path / "runs" / "l40s_16", config, L40S, 4, 4, *[0.5 * H200_RATE] * 5)  # a slow network

    def best(*more: str) -> tuple[str, int, int]:
        options, printed = plan(tiny_town, tmp_path, capsys, *more)
        first = options[0]
        command = shlex.split(printed.strip().splitlines()[-1])
        assert command[:2] == ["navforge", "train"] and f"cluster={first['cluster']}" in command
        assert f"nodes={first['nodes']}" in command and f"devices={first['devices']}" in command
        return first["cluster"], first["nodes"], first["devices"]

    assert best("train.epochs=1000") == ("h200_1x8", 1, 8)  # nobody waits

    fill_h200(slurm, tmp_path, "5:00:00", "1:30:00")
    options, printed = plan(tiny_town, tmp_path, capsys, "train.epochs=1000")
    h200 = next(option for option in options if option["cluster"] == "h200_1x8" and option["refusal"] is None)
    l40s = options[0]
    assert h200["wait_s"][0] == pytest.approx(6.5 * HOUR, abs=120) and h200["wait_s"][1] == 0.0
    assert l40s["wait_s"][0] < 60 and l40s["basis"] == h200["basis"] == "recorded (1 start)"
    assert l40s["training_s"][0] == pytest.approx(h200["training_s"][0] / 0.87, rel=0.01)
    assert (l40s["cluster"], l40s["nodes"], l40s["devices"]) == ("l40s_4x4", 2, 4)
    assert h200["notes"] == ["1 job waits for the partition"]
    assert "at most 6.5 h" in printed
    refused = {(o["cluster"], o["nodes"], o["devices"]): o["refusal"] for o in options if o["refusal"]}
    assert refused == {
        ("l40s_4x4", 1, 8): "devices: 8 asked for, l40s_4x4 has 4",
        ("h200_1x8", 2, 4): "nodes: 2 asked for, h200_1x8 has 1",
        ("h200_1x8", 4, 4): "nodes: 4 asked for, h200_1x8 has 1",
    }

    assert best("train.epochs=100000")[0] == "h200_1x8"  # a run so long that the faster GPU makes up for the wait


def test_a_profile_that_says_too_much_of_its_partition(
    slurm: Cluster, tiny_town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "clusters"
    own.mkdir()
    text = "name: {0}\npartition: {1}\ngpu_type: {2}\nnodes: 4\ngpus_per_node: 8\ncpus_per_node: 64\nmemory_gb: 100\n"
    for name, partition, kind in (("two", "h200", "h200"), ("big", "l40s_public", "l40s"), ("gone", "a100", "a100")):
        (own / f"{name}.yaml").write_text(text.format(name, partition, kind) + 'time_limit: "1:00:00"\n')
    monkeypatch.setenv("NAVFORGE_CLUSTERS", str(own))
    options, printed = plan(tiny_town, tmp_path, capsys)
    reasons = {(o["cluster"], o["nodes"], o["devices"]): o["refusal"] for o in options if o["refusal"]}
    assert reasons["two", 4, 4].startswith("4 nodes asked for, h200 gives 1")
    assert reasons["big", 1, 8].startswith("a node of l40s_public has 4 GPUs of type l40s (4 l40s), 8 asked for")
    assert reasons["gone", 1, 8] == "the cluster has no partition 'a100'"
    assert "big, 1 x 8: a node of l40s_public has 4 GPUs" in printed
    assert printed.strip().splitlines()[-1] == "No end can be predicted: each option lacks its speed or its wait."
    measure = [line.strip() for line in printed.splitlines() if line.strip().startswith("srun ")]
    assert len(measure) == 2 and "--partition=h200 --gres=gpu:h200:1" in " ".join(measure)

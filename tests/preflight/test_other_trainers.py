"""Batch scripts of other trainers: the launches that failed in the field, and how they are judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from navforge.cli.keys.preflight import configure
from navforge.cli.main import main
from navforge.core.errors import ConfigError, DataError
from navforge.preflight.checks import NAMES
from navforge.preflight.finding import OK, REFUSED, WARNING
from navforge.preflight.script import read_script
from navforge.preflight.trainer import Trainer

LIGHTNING = (
    "python $NAVSIM_DEVKIT_ROOT/navsim/planning/script/run_training.py agent=hydra_mdp "
    "trainer.params.devices=8 trainer.params.num_nodes=1 dataloader.params.num_workers=8"
)
"""As the public scripts of NAVSIM call it."""
SOUND = f"""#!/bin/bash
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=12
#SBATCH --mem=1900G
export PYTHONPATH=$PWD
python -m pip install -e .
python navsim/planning/script/run_dataset_caching.py agent=hydra_mdp
srun {LIGHTNING}
python -c "print('trained')"
"""
TORCHRUN = SOUND.replace("--ntasks-per-node=8", "--ntasks-per-node=1").replace("task=12", "task=96")
TORCHRUN = TORCHRUN.replace(f"srun {LIGHTNING}", "torchrun --standalone --nproc_per_node=8 train.py --workers 8")
TWO_NODES = TORCHRUN.replace("--nodes=1", "--nodes=2").replace("--standalone", "--nnodes=2")


def levels(folder: Path, capsys: pytest.CaptureFixture[str], text: str, *words: str) -> tuple[int, dict[str, str]]:
    """Exit status, and what is not sound, as `level: message -> remedy` by check."""
    (folder / "job.sbatch").write_text(text)
    out = folder / "report.json"
    status = main(["preflight", f"script={folder / 'job.sbatch'}", f"json={out}", *words])
    capsys.readouterr()
    report = json.loads(out.read_text())
    assert {"gpu_memory", "disk", "time_limit", "evaluation", "vocabulary"} <= set(report["not_judged"])
    assert {finding["check"] for finding in report["findings"]} | set(report["not_judged"]) == set(NAMES)
    return status, {
        finding["check"]: f"{finding['level']}: {finding['message']} -> {finding['remedy']}"
        for finding in report["findings"]
        if finding["level"] != OK and finding["check"] != "partition"  # Slurm's commands may be here or not
    }


@pytest.mark.parametrize("text", [SOUND, TORCHRUN, TWO_NODES.replace("\ntorchrun", "\nsrun torchrun")])
def test_sound_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert levels(tmp_path, capsys, text) == (0, {})


FAILED_LAUNCHES = {
    "one GPU for eight tasks": (SOUND, {"gpu:8": "gpu:1"}, "gpus", "1 GPU per node for 8 ranks"),
    "one task for eight ranks": (SOUND, {"--ntasks-per-node=8": "--ntasks=1"}, "tasks", "1 rank would wait for 7"),
    "no srun": (SOUND, {"\nsrun ": "\n"}, "srun", "wait for 7 others until the time limit -> put srun before the"),
    "one process that sees eight GPUs": (
        SOUND,
        {"--ntasks-per-node=8": "--ntasks=1", "trainer.params.devices=8": "trainer.params.devices=1"},
        "gpus",
        "7 would stay idle",
    ),
    "tasks without a count per node": (
        SOUND,
        {
            "--ntasks-per-node=8": "--ntasks=8",
            "--nodes=1": "--nodes=2",
            "num_nodes=1": "num_nodes=2",
            "devices=8": "d=4",
        },
        "placement",
        "7 + 1",
    ),
    "128 loader workers": (SOUND, {"cpus-per-task=12": "cpus-per-task=4"}, "cpus", "8 loader workers on 4 CPUs"),
    "torchrun once per GPU": (
        TORCHRUN,
        {"--ntasks-per-node=1": "--ntasks-per-node=8", "\ntorchrun": "\nsrun torchrun"},
        "tasks",
        "torchrun starts 8 ranks on its node, and srun would start it 8 times on 1 node -> #SBATCH --nodes=1 "
        "--ntasks-per-node=1",
    ),
    "torchrun on the first of two nodes": (TWO_NODES, {}, "srun", "it runs on the first one only"),
}


@pytest.mark.parametrize("name", FAILED_LAUNCHES)
def test_a_launch_that_failed_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    text, changes, check, says = FAILED_LAUNCHES[name]
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    status, found = levels(tmp_path, capsys, text)
    assert status == 2 and found[check].startswith(REFUSED) and says in found[check]
    assert levels(tmp_path, capsys, text, f"force=[{check}]")[1][check].startswith(WARNING)


@pytest.mark.parametrize(
    ("mem", "says"),
    [
        ("#SBATCH --mem=96G\n", "8 ranks and 64 loader workers on 96.0 GiB of a node: 1.3 GiB each"),
        ("", "does not say how much memory"),
    ],
)
def test_memory_is_divided_among_the_processes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mem: str, says: str
) -> None:
    _, found = levels(tmp_path, capsys, SOUND.replace("#SBATCH --mem=1900G\n", mem))
    assert found["host_memory"].startswith(WARNING) and says in found["host_memory"]


def test_a_program_that_may_start_its_ranks_itself_is_not_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SOUND.replace("--ntasks-per-node=8", "--ntasks=1").replace(LIGHTNING, "python train_net.py --num-gpus 8")
    status, found = levels(tmp_path, capsys, text)
    assert status == 0 and found["tasks"].startswith(WARNING)
    assert "unless python train_net.py itself starts the ranks of its node" in found["tasks"]


@pytest.mark.parametrize(
    ("command", "trainer"),
    [
        (LIGHTNING, Trainer(name="python run_training.py", lightning=True, nodes=1, devices=8, workers=8)),
        ("python3.9 -u -m tools.train --gpus=4", Trainer(name="python3.9 -m tools.train", devices=4)),
        ("CUDA_VISIBLE_DEVICES=0,1 python train.py devices=[0,1]", Trainer(name="python train.py", devices=2)),
        ("torchrun train.py --nnodes=1:4", Trainer(name="torchrun", launcher="torchrun", devices=1)),
        ("torchrun --nproc-per-node gpu train.py", Trainer(name="torchrun", launcher="torchrun")),
        (
            "python -m torch.distributed.run --nproc_per_node=4 x.py",
            Trainer(name="python -m torch.distributed.run", launcher="torch.distributed.run", devices=4),
        ),
        (
            "accelerate launch --num_processes 16 --num_machines 2 train.py --dataloader_num_workers 3",
            Trainer(name="accelerate launch", launcher="accelerate launch", nodes=2, devices=8, workers=3),
        ),
        ("/opt/bin/deepspeed --num_gpus=8 x.py", Trainer(name="deepspeed", launcher="deepspeed", devices=8)),
    ],
)
def test_what_a_command_says(tmp_path: Path, command: str, trainer: Trainer) -> None:
    (tmp_path / "job.sbatch").write_text(f"#!/bin/bash\n#SBATCH -N 1\n{command}\n")
    assert read_script(tmp_path / "job.sbatch").trainer == trainer


def test_variables_that_the_script_sets_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SOUND.replace("export PYTHONPATH=$PWD", "export NCCL_P2P_DISABLE=1 NCCL_DEBUG=WARN\nPYTHONPATH=$PWD")
    status, found = levels(tmp_path, capsys, text)
    assert status == 0 and list(found) == ["network"] and "NCCL_P2P_DISABLE=1: GPUs of a node" in found["network"]


@pytest.mark.parametrize(
    ("command", "tasks", "gpus"),
    [
        ("srun -n 4 -l --gpus-per-task=1 python train.py", 4, 4),
        ("srun --ntasks=2 --label bash -c 'python train.py'", 2, 8),
        ('run() { srun -n 3 "$@"; }\nrun python train.py', 3, 8),
    ],
)
def test_options_of_srun_count(tmp_path: Path, command: str, tasks: int, gpus: int) -> None:
    (tmp_path / "job.sbatch").write_text(f"#!/bin/bash\n#SBATCH -N 1 -n 8 --gres=gpu:8\n{command}\n")
    job = read_script(tmp_path / "job.sbatch").allocation
    assert (job.tasks, job.gpus_per_node, job.srun) == (tasks, gpus, True)


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        ("srun ./start.sh", "has no command that trains: .*what another script that it calls does is not read"),
        (
            "python train_a.py\nsrun python train_b.py",
            r"trains 2 times.*line 3: python train_a.py; line 4: srun",
        ),
    ],
)
def test_what_cannot_be_judged_is_an_error(tmp_path: Path, commands: str, says: str) -> None:
    (tmp_path / "job.sbatch").write_text(f"#!/bin/bash\n#SBATCH -N 1\n{commands}\n")
    with pytest.raises(DataError, match=says):
        read_script(tmp_path / "job.sbatch")


def test_keys_of_a_run_are_refused_beside_another_trainer(tmp_path: Path) -> None:
    (tmp_path / "job.sbatch").write_text(SOUND)
    with pytest.raises(ConfigError, match=r"agent=ego_mlp: .*job.sbatch calls python run_training.py"):
        configure([f"script={tmp_path / 'job.sbatch'}", "agent=ego_mlp"])

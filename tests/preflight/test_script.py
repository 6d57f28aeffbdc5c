"""Batch scripts as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from navforge.core.errors import DataError
from navforge.core.sizes import GIB
from navforge.preflight.script import Script, read_script

SOUND = """#!/bin/bash
#SBATCH --job-name=hydra
#SBATCH --partition=l40s_public --account=group
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4   # one per GPU
#SBATCH --gres=gpu:l40s:4
#SBATCH -c 8
#SBATCH --mem=120G
#SBATCH --time=1-12:00:00
#SBATCH --requeue

export WORKERS=6
BATCH=16
srun --kill-on-bad-exit=1 navforge train agent=hydra_mdp_tiny split=train nodes=2 devices=4 \\
    train.batch_size=${BATCH} train.loader_workers=$WORKERS train.seed=${SEED:-3} out=$HOME/runs/a
#SBATCH --mem=1G
"""


def read(folder: Path, text: str) -> Script:
    (folder / "job.sbatch").write_text(text, newline="")
    return read_script(folder / "job.sbatch")


def test_a_sound_script(tmp_path: Path) -> None:
    found = read(tmp_path, SOUND)
    job = found.allocation
    assert (job.nodes, job.tasks, job.tasks_per_node, job.gpus_per_node, job.cpus_per_task) == (2, 8, 4, 4, 8)
    assert job.memory_bytes == 120 * GIB and job.time_limit_s == 36 * 3600 and job.requeue and job.srun
    assert (job.partition, job.account) == ("l40s_public", "group")


def test_words_of_the_command_with_variables_put_in(tmp_path: Path) -> None:
    words = read(tmp_path, SOUND).words
    assert "train.batch_size=16" in words and "train.loader_workers=6" in words and "train.seed=3" in words
    assert "devices=4" in words and not any(word.startswith("out=") for word in words), "HOME is not known here"


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("srun --kill-on-bad-exit=1 ", "", "srun", False),
        ("--ntasks-per-node=4   ", "--ntasks=4 ", "tasks_per_node", None),
        ("--ntasks-per-node=4   ", "--ntasks=4 ", "tasks", 4),
        ("--ntasks-per-node=4   ", "-n4 ", "tasks", 4),
        ("--nodes=2", "-N 3", "nodes", 3),
        ("--gres=gpu:l40s:4", "--gres=gpu:1", "gpus_per_node", 1),
        ("--gres=gpu:l40s:4", "--gres=gpu", "gpus_per_node", 1),
        ("--gres=gpu:l40s:4", "--gpus-per-node=l40s:2", "gpus_per_node", 2),
        ("--gres=gpu:l40s:4", "--gpus=8", "gpus_per_node", 4),
        ("--gres=gpu:l40s:4", "--gpus-per-task=1", "gpus_per_node", 4),
        ("--gres=gpu:l40s:4", "--gpus-per-task=1", "visible_gpus", 1),
        ("--gres=gpu:l40s:4", "--nice", "gpus_per_node", 0),
        ("--mem=120G", "--mem-per-cpu=2000", "memory_bytes", 32 * 2000 << 20),
        ("--mem=120G", "--mem-per-gpu=30G", "memory_bytes", 120 * GIB),
        ("--mem=120G", "--exclusive", "memory_bytes", None),
        ("--time=1-12:00:00", "-t 90", "time_limit_s", 5400),
    ],
)
def test_ways_to_ask(tmp_path: Path, old: str, new: str, field: str, value: object) -> None:
    assert old in SOUND
    assert getattr(read(tmp_path, SOUND.replace(old, new)).allocation, field) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("#!/bin/bash\nsrun navforge train\n", "no #SBATCH"),
        ("#!/bin/sh\n#SBATCH -N 1\nsrun ./other.sh\n", "has no command that trains"),
        ("#SBATCH -N 1\nsrun navforge train\n", "the first line of .* is not #! with an interpreter"),
        ("#!/bin/sh\r\n#SBATCH -N 1\r\nsrun navforge train\r\n", "has DOS line breaks, which sbatch refuses"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("command", "verb", "srun"),
    [
        ("navforge train devices=4", "train", False),
        ("srun -n 8 /venv/bin/python -m navforge rank run", "rank", True),
        ('srun bash -c "cd x && exec navforge rank run"', "rank", True),
        ("cd x && /venv/bin/navforge train devices=4 2>&1 | tee log", "train", False),
    ],
)
def test_the_command_is_found_among_others(tmp_path: Path, command: str, verb: str, srun: bool) -> None:
    around = (
        '#!/bin/sh\n#SBATCH -N 1\necho navforge rank comes\n{}\ntrue # navforge train x\necho "navforge train ended"\n'
    )
    found = read(tmp_path, around.format(command))
    launcher = "navforge train" if verb == "train" else None
    assert (found.verb, found.allocation.srun, found.allocation.launcher) == (verb, srun, launcher)
    assert found.words == (("devices=4",) if verb == "train" else ())


@pytest.mark.parametrize(
    ("command", "run"),
    [
        ("srun navforge rank /runs/a", "/runs/a"),
        ("R=/runs\nsrun python -m navforge rank $R/b", "/runs/b"),
        ("srun navforge rank run=c", "c"),
        ("navforge train devices=1", None),
    ],
)
def test_the_run_that_a_script_names(tmp_path: Path, command: str, run: str | None) -> None:
    assert read(tmp_path, f"#!/bin/sh\n#SBATCH -N 1\n{command}\n").run == run


def test_several_commands_are_refused_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 times.*line 3: navforge train a=1; line 5: srun navforge rank run"):
        read(tmp_path, "#!/bin/sh\n#SBATCH -N 1\nnavforge train \\\n  a=1\nsrun navforge rank run\n")


def test_a_bad_time_names_script_and_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"job\.sbatch line 3: --time: 'tomorrow' is not a duration"):
        read(tmp_path, "#!/bin/sh\n#SBATCH -N 1\n#SBATCH --time=tomorrow\nnavforge train\n")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not found"):
        read_script(tmp_path / "job.sbatch")

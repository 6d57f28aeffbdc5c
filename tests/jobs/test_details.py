"""The page of one run, and how far a checkpoint is without loading it."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from rich.console import Console

from navforge.cli.main import main
from navforge.core.files import write_json
from navforge.jobs.checkpoints import position, saved_states
from navforge.jobs.curves import read_columns
from navforge.jobs.details import page
from navforge.jobs.state import State
from navforge.jobs.view import read_run
from navforge.models.checkpoints import KEY, write_values
from navforge.runs.folder import RunFolder
from navforge.runs.status import Attempt
from navforge.runs.training_record import KEY as TRAINING
from navforge.runs.training_record import TrainingRecord
from tests.jobs.made import NOW, beat, failure, make_run


def write_checkpoint(path: Path, *, epoch: int, total: int, written: float) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimiser = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimiser.step()
    position = {"epoch": epoch, "step": 0, "total": total}
    values = {"state_dict": model.state_dict(), "optimiser": optimiser.state_dict(), KEY: {"format": 1}}
    write_values(path, {**values, "training": {"position": position, "sums": [{"total": (torch.ones(()), 1.0)}]}})
    os.utime(path, (written, written))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    attempts = tuple(
        Attempt(attempt=i, job=None, world_size=2, time=NOW - 500 + 100 * i, resumed_step=50 * i) for i in range(3)
    )
    folder = make_run(tmp_path / "run", beats=(beat(0), beat(1)), attempts=attempts, logs={"rank-0.log": "x"})
    losses = "".join(f"{i},0,{1 / i},0.1,1.0\n" for i in range(1, 101))
    folder.steps.write_text("step,epoch,loss,learning_rate,gradient_norm\n" + losses + "101,0,0.00")
    folder.history.write_text("time,samples_per_s,waiting,host_bytes,gpu_bytes\n1,10,0.5,1e9,0\n2,20,,2e9,0\n")
    (folder.path / "epochs.csv").write_text("epoch,val/score\n0,0.5\n1,0.75\n")
    write_checkpoint(folder.checkpoints / "last.ckpt", epoch=2, total=120, written=NOW - 60)
    write_checkpoint(folder.checkpoints / "best.ckpt", epoch=1, total=60, written=NOW - 600)
    (folder.checkpoints / "damaged.ckpt").write_bytes(b"PK")
    os.utime(folder.checkpoints / "damaged.ckpt", (NOW - 700, NOW - 700))
    return folder


def text(folder: RunFolder, state: State | None = None, width: int = 120) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(page(read_run(folder), state or State(name="training"), None, now=NOW, width=width))
    return console.export_text()


def test_the_page_holds_everything_about_a_run(folder: RunFolder) -> None:
    found = text(folder)
    for part in (
        "ego_mlp, local, 1 node x 2",
        "epoch 2 of 10, step 120 of 1000 (12%)",
        "81.2 samples/s, 3.4% of the time waiting for data",
        "in 2 h 13 min",
        "fullest node: 6.5 GB of host memory, 40.0 GB of GPU memory",
        "2 s ago",
        "navforge jobs logs",
    ):
        assert part in found, part
    rows = {line.split()[0]: line.split() for line in found.splitlines() if line.split()}
    assert rows["last.ckpt"][1:5] == ["2", "120", "1", "min"] and rows["best.ckpt"][1:3] == ["1", "60"]
    assert rows["damaged.ckpt"][1:3] == ["?", "?"]
    assert [line.split()[-1] for line in found.splitlines() if "ago)" in line] == ["0", "50", "100"], "from step"


def test_curves_are_drawn_from_first_to_last(folder: RunFolder) -> None:
    lines = {line.split("  ")[0]: line for line in text(folder).splitlines()}
    loss = lines["loss by step"]
    assert "█" in loss and loss.index("█") < loss.index("▁") and loss.split()[-2:] == ["0.01", "1"]
    assert lines["samples/s"].split()[-2:] == ["10", "20"]
    assert lines["val/score by epoch"].split()[-2:] == ["0.5", "0.75"]
    assert not any(name.startswith("GPU GB of") for name in lines), "all zero: there is no GPU"


def test_a_finished_run_says_what_training_came_to(folder: RunFolder) -> None:
    done = TrainingRecord(
        seconds=7200.0,
        gpu_hours=16.0,
        samples=96_000,
        train_loss=0.25,
        val_loss=0.375,
        train_score=0.9,
        val_score=0.8,
        epochs_to_90=2,
        epochs_to_95=5,
    )
    write_json(folder.finished, {TRAINING: asdict(done)})
    found = text(folder, State(name="finished"))
    for part in (
        "2 h 00 min, 16 GPU hours, 96000 samples seen",
        "loss 0.25 in training, 0.375 in validation, gap 0.125",
        "score 0.9 in training, 0.8 in validation, gap 0.1",
        "90 % after 2 epochs, 95 % after 5 epochs (of the best validation score)",
    ):
        assert part in found, part
    write_json(folder.finished, {TRAINING: {"seconds": "x"}})
    assert "finished.json is damaged" in text(folder, State(name="finished"), width=400)


def test_the_page_fits_its_width(folder: RunFolder) -> None:
    for width in (100, 160):
        body = text(folder, width=width).split("\nfiles")[0]
        assert all(len(line.rstrip()) <= width for line in body.splitlines())


def test_a_failed_run_points_to_its_diagnosis(folder: RunFolder) -> None:
    make_run(folder.path, failures=(failure(1, "non_finite", "TrainingError: the loss is nan"),))
    found = text(folder, State(name="failed"))
    assert "rank 1, non_finite: TrainingError: the loss is nan" in found and "navforge diagnose" in found


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    found = text(make_run(tmp_path / "run"), State(name="starting"))
    assert "none yet" in found and "ranks" not in found.split("checkpoints")[0].replace("x 2", "")


def test_the_verb_prints_the_page(folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "show", str(folder.path)]) == 0
    assert "step 120 of 1000" in capsys.readouterr().out
    assert main(["jobs", "show", str(folder.path / "checkpoints")]) == 2


def test_checkpoints_newest_first(folder: RunFolder) -> None:
    assert [(state.name, state.epoch, state.step) for state in saved_states(folder)] == [
        ("last.ckpt", 2, 120),
        ("best.ckpt", 1, 60),
        ("damaged.ckpt", None, None),
    ]


def test_a_checkpoint_is_read_without_torch_and_runs_nothing(folder: RunFolder, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from navforge.jobs.checkpoints import position;"
        "print(position(Path(sys.argv[1])), 'torch' in sys.modules)"
    )
    words = [sys.executable, "-c", code, str(folder.checkpoints / "last.ckpt")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "{'epoch': 2, 'step': 0, 'total': 120} False\n"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    evil = tmp_path / "evil.ckpt"
    with zipfile.ZipFile(evil, "w") as archive:
        values = {"x": Evil(), "training": {"position": {"epoch": 1, "total": 7, "odd": Evil()}}}
        archive.writestr("a/data.pkl", pickle.dumps(values))
    assert position(evil) == {"epoch": 1, "total": 7} and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK", b"garbage" * 100])
def test_what_is_no_checkpoint_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    assert position(tmp_path / "x.ckpt") == {} and position(tmp_path / "none.ckpt") == {}


def test_columns_without_the_row_a_kill_cut_off(folder: RunFolder, tmp_path: Path) -> None:
    columns = read_columns(folder.steps)
    assert len(columns["loss"]) == 100 and columns["loss"][1] == 0.5
    assert read_columns(tmp_path / "none.csv") == {}

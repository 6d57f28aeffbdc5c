"""`navforge pretrain` from the command line: with its preflight, for Slurm, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModel

from navforge.cli.main import main
from navforge.jobs.evidence import gather
from navforge.jobs.remedies import original, train
from navforge.launch import start
from navforge.runs.folder import RunFolder

KEYS = [
    "split=val",
    *("encoder.image_size=32", "encoder.patch_size=4", "encoder.width=24", "encoder.depth=1"),
    *("encoder.attention_heads=2", "predictor.width=16", "predictor.depth=1", "predictor.attention_heads=2"),
    *("train.epochs=1", "train.batch_size=8", "train.accelerator=cpu", "train.loader_workers=0"),
]


@pytest.fixture
def words(tiny_town: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENSCENE_DATA_ROOT", str(tiny_town))
    monkeypatch.setenv("NUPLAN_MAPS_ROOT", str(tiny_town / "maps"))
    return [*KEYS, f"out={tmp_path / 'run'}"]


@pytest.mark.slow
def test_the_verb_checks_trains_and_leaves_an_encoder(
    words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", *words]) == 0, capfd.readouterr()
    said = capfd.readouterr()
    assert f"{tmp_path / 'run' / 'encoder'}: the encoder, for transformers and weights=" in said.out
    assert "pre-training on" in said.err and "train/effective_rank" in said.err
    assert AutoModel.from_pretrained(tmp_path / "run" / "encoder").config.hidden_size == 24
    assert (tmp_path / "run" / "preflight.json").is_file()
    assert main(["pretrain", *words]) == 0
    assert "is finished" in capfd.readouterr().out
    assert main(["jobs", "show", str(tmp_path / "run")]) == 0
    assert "ijepa" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("patient_preflight")
def test_the_preflight_alone_refuses_what_the_run_would(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "preflight",
                "method=ijepa",
                *(w for w in words if not w.startswith("train.loader_workers=")),
                "train.loader_workers=500",
            ]
        )
        == 2
    )
    assert "loader workers" in capfd.readouterr().out


def test_for_slurm_the_script_runs_the_same_ranks(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(start.slurm, "submit", lambda script: "4711")
    slurm = ["launch=slurm", "cluster=l40s_4x4", "nodes=2", "devices=4", "preflight=false"]
    assert main(["pretrain", *words, *slurm]) == 0, capfd.readouterr()
    assert "job 4711 submitted: ijepa, 2 node(s) x 4 rank(s)" in capfd.readouterr().out
    folder = RunFolder(tmp_path / "run")
    assert "navforge rank" in folder.script.read_text() and folder.code.is_dir()
    assert folder.read_record().agent == "ijepa"


def test_remedies_name_the_verb_that_started_the_run(words: list[str], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.describe("ijepa", launch="local", nodes=1, devices=1)
    folder.config.write_text("train:\n")
    command = ["/somewhere/navforge", "pretrain", *words]
    (folder.path / start.COMMAND).write_text(json.dumps({"command": command}))
    evidence = gather(folder)
    assert train(evidence, learning_rate="1e-4").startswith("navforge pretrain split=val ")
    assert original(evidence).startswith("navforge pretrain split=val ")
    assert original(evidence, "preflight").startswith("navforge preflight method=ijepa split=val ")


def test_a_mistyped_key_is_named(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", *words, "encoder.patch=4"]) == 2
    assert "encoder.patch_size" in capfd.readouterr().err

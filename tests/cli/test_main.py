"""The command line: user errors are one line and exit code 2, help lists every key."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from navforge.cli import town
from navforge.cli.main import VERBS, main
from navforge.core import provenance
from navforge.core.files import write_text
from tests.core.test_config import Config


def test_unknown_verb_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    captured = capsys.readouterr()
    assert "unknown verb 'trian'" in captured.err and "train" in captured.err and "Traceback" not in captured.err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_its_keys(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert f"navforge {verb}" in out and "default" in out and "meaning" in out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_refuses_an_unknown_key(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    agent = ["agent=ego_mlp"] if verb in ("train", "pack", "encode", "preflight", "cluster plan") else []
    assert main([*verb.split(), *agent, "no_such_key=1"]) == 2
    assert "no_such_key" in capsys.readouterr().err


def test_console_script_prints_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "navforge.cli.main", "score", "protocol=pdms_v9"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr and done.stderr.startswith("navforge: error: ")


def test_record_writes_config_and_provenance(tmp_path: Path) -> None:
    provenance.record(tmp_path, Config(split="real"), name="score")
    assert yaml.safe_load((tmp_path / "score.config.yaml").read_text())["split"] == "real"
    stored = yaml.safe_load((tmp_path / "score.provenance.json").read_text())
    assert datetime.fromisoformat(stored["started"]) <= datetime.fromisoformat(stored["written"])
    assert stored["libraries"]["torch"].startswith("2.11.0") and set(stored["git"]) == {"commit", "dirty", "reason"}


def onto_a_folder(path: Path) -> None:
    path.mkdir()
    write_text(path, "x")


def unlink_a_folder(path: Path) -> None:
    path.mkdir()
    path.unlink()


def under_a_file(path: Path) -> None:
    path.write_text("")
    write_text(path / "x.json", "x")


def deep_under_a_file(path: Path) -> None:
    path.write_text("")
    write_text(path / "folder" / "x.json", "x")


def unlink_under_a_file(path: Path) -> None:
    path.write_text("")
    (path / "x.json").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "act",
    [onto_a_folder, unlink_a_folder, under_a_file, deep_under_a_file, unlink_under_a_file],
    ids=lambda f: f.__name__,
)
def test_a_path_that_cannot_be_written_is_one_line_and_status_2(
    act: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(town, "run", lambda config: act(config.out))
    assert main(["town", f"out={tmp_path / 'it'}"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"navforge: error: {tmp_path / 'it'}") and line.count("\n") == 1
    assert "give another path" in line and ".partial" not in line


@pytest.mark.parametrize("word", ["agnt=ego_mlp", "--helpp=1"])
def test_an_unknown_key_is_named_before_a_missing_one(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", word]) == 2
    assert word.strip("-").partition("=")[0] in capsys.readouterr().err


def test_an_error_of_the_system_without_a_path_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(town, "run", fails)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        main(["town", "out=x"])


def test_town_onto_a_file_and_under_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "world"):
        assert main(["town", f"out={out}", "scale=tiny"]) == 2
        line = capsys.readouterr().err
        assert line.startswith(f"navforge: error: {tmp_path / 'file'}") and line.count("\n") == 1

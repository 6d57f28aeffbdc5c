"""The command line: user errors are one line and exit code 2, help lists every key."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from navforge.cli.main import VERBS, main
from navforge.core import provenance
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
    agent = ["agent=ego_mlp"] if verb == "train" else []
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
    assert stored["libraries"]["torch"].startswith("2.11.0") and set(stored["git"]) == {"commit", "dirty"}

"""navforge runs for a user without an account, a home folder or a writable package, as in many containers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from navforge.core import host

STRANGER = 54321
VARIABLES = (*host._NAMES, "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HOME")


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Take back what the code under test sets: with NUMBA_CACHE_DIR left, later tests compile every kernel anew."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable is set and nothing but a temporary folder can be written to."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: STRANGER)
    monkeypatch.setattr(host.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(host, "_is_writable", lambda folder: False)
    return tmp_path


def test_a_user_without_account_home_or_writable_package_gets_all_three(bare: Path) -> None:
    host.complete_environment(Path("/nowhere/navforge"))
    assert os.environ["USER"] == f"uid{STRANGER}"
    # the folder is owned by the real user here, who is not the pretended one: it must not be trusted
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent.name.startswith("navforge-")
    assert Path(os.environ["NUMBA_CACHE_DIR"]).parent != bare / f"navforge-{STRANGER}" or os.geteuid() == STRANGER
    assert Path(os.environ["MPLCONFIGDIR"]).name == "matplotlib"


def test_nothing_that_is_set_or_works_is_touched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "someone")
    monkeypatch.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    host.complete_environment(tmp_path / "package")
    assert dict(os.environ) == before


def test_a_folder_that_others_can_write_to_holds_no_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(host.tempfile, "mkdtemp", lambda prefix: str(tmp_path / f"{prefix}fresh"))
    folder = tmp_path / f"navforge-{os.getuid()}"
    assert host._private_folder() == folder
    folder.chmod(0o777)
    assert host._private_folder() == tmp_path / "navforge-fresh"
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert host._private_folder() == tmp_path / "navforge-fresh"


@pytest.mark.parametrize("folder", ["~/.cache", "relative"])
def test_a_home_that_is_unknown_is_not_writable(folder: str) -> None:
    assert not host._is_writable(Path(folder))


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="becomes another user: root, setpriv")
def test_verbs_run_for_a_stranger(tmp_path: Path) -> None:
    program = (
        "import torch, matplotlib.pyplot, navforge.metric_cache.ragged, sys; from navforge.cli.main import main;"
        "sys.exit(main(['evaluate', '--help']))"
    )
    environment = {name: text for name, text in os.environ.items() if name not in VARIABLES}
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    os.chown(temporary, STRANGER, -1)
    stranger = ["setpriv", "--reuid", str(STRANGER), "--clear-groups"]
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]  # the interpreter is root's
    done = subprocess.run(
        [*stranger, *reading, sys.executable, "-c", "import navforge;" + program],
        env={**environment, "HOME": "/nonexistent", "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (temporary / f"navforge-{STRANGER}").is_dir()
    assert "agent" in done.stdout

"""Provenance names the commit of the code that runs, or says why it is unknown; never that of another repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from navforge.core import provenance
from navforge.core.config import key
from navforge.core.provenance import NO_CHECKOUT, UNTRACKED, describe_git, git_state
from navforge.launch.snapshot import uncommitted


@dataclass(frozen=True, kw_only=True)
class Config:
    """Any config."""

    size: int = key(1, "a size")


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def write_package(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A package in a checkout of its own."""
    package = write_package(tmp_path / "checkout" / "src" / "tiny")
    git(tmp_path / "checkout", "init", "-q")
    git(tmp_path / "checkout", "add", ".")
    git(tmp_path / "checkout", "commit", "-q", "-m", "first")
    return package


def test_a_checkout_gives_its_commit(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD").strip()
    assert git_state(checkout) == {"commit": commit, "dirty": False, "reason": None}
    (checkout / "new.py").write_text("NEW = 1\n")
    assert git_state(checkout) == {"commit": commit, "dirty": True, "reason": None}
    assert describe_git(git_state(checkout)) == f"{commit} with changes"
    assert "+NEW = 1" in uncommitted(checkout)


def test_a_package_in_the_environment_of_another_repository(checkout: Path) -> None:
    installed = write_package(checkout.parents[1] / ".venv" / "lib" / "site-packages" / "navforge")
    assert git_state(installed) == {"commit": None, "dirty": None, "reason": UNTRACKED}
    assert describe_git(git_state(installed)) == f"unknown ({UNTRACKED})"
    assert uncommitted(installed) == f"# changes since the last commit are unknown: {UNTRACKED}\n"


def test_a_package_outside_of_any_repository(tmp_path: Path) -> None:
    assert git_state(write_package(tmp_path / "navforge"))["reason"] == NO_CHECKOUT


def test_without_git(checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(checkout)["reason"] == "git is not installed"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user, which takes root")
def test_a_checkout_of_another_user(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (checkout.parents[1], *checkout.parents[1].rglob("*")):
        shutil.chown(path, 12345, 12345)
    monkeypatch.setenv("HOME", str(tmp_path))  # no safe.directory of this account
    state = git_state(checkout)
    assert state["commit"] is None and "dubious ownership" in state["reason"]
    assert "dubious ownership" in uncommitted(checkout)
    monkeypatch.setattr(provenance, "git_state", lambda: state)
    provenance.record(tmp_path, Config(), name="verb")
    assert "navforge: warning: the commit of navforge is recorded as unknown: fatal: detected dubious" in (
        capsys.readouterr().err
    )

"""The snapshot is the code that runs: later edits do not reach it, and it brings its compiled kernels along."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from navforge.core.errors import DataError
from navforge.launch import snapshot


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package in a git checkout, with a cached kernel like ours."""
    root = tmp_path / "checkout"
    package = root / "src" / "tiny"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "value.py").write_text("VALUE = 1\n")
    (package / "page.html").write_text("<p>data</p>")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "first")
    return package


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def value(code: Path) -> str:
    command = [sys.executable, "-c", "from tiny.value import VALUE; print(VALUE)"]
    environ = {**os.environ, "PYTHONPATH": str(code)}
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout.strip()


def test_edits_after_the_launch_change_nothing(package: Path, tmp_path: Path) -> None:
    code = tmp_path / "run" / "code"
    snapshot.take(code, package)
    assert snapshot.is_current(code, package) and value(code) == "1"
    (package / "value.py").write_text("VALUE = 2\n")
    assert value(code) == "1" and not snapshot.is_current(code, package)
    snapshot.take(code, package)
    assert value(code) == "2" and snapshot.is_current(code, package)
    assert (code / "tiny" / "page.html").read_text() == "<p>data</p>"
    assert [p.name for p in code.parent.iterdir()] == ["code"]


def test_snapshots_taken_at_the_same_time_do_not_mix(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "run" / "code"
    fingerprint = snapshot.sources_fingerprint

    def meanwhile(package: Path) -> str:
        monkeypatch.setattr(snapshot, "sources_fingerprint", fingerprint)
        snapshot.take(code, package)
        return fingerprint(package)

    monkeypatch.setattr(snapshot, "sources_fingerprint", meanwhile)
    snapshot.take(code, package)
    assert snapshot.is_current(code, package)
    monkeypatch.setattr(snapshot, "sources_fingerprint", str)
    with pytest.raises(DataError, match="changed while it was copied"):
        snapshot.take(code, package)
    assert [p.name for p in code.parent.iterdir()] == ["code"]


def test_what_was_not_committed_is_kept(package: Path, tmp_path: Path) -> None:
    (package / "value.py").write_text("VALUE = 3\n")
    (package / "new.py").write_text("NEW = 4\n")
    snapshot.take(tmp_path / "code", package)
    diff = (tmp_path / "code" / snapshot.DIFF).read_text()
    assert "+VALUE = 3" in diff and "+NEW = 4" in diff
    git(package, "reset", "-q", "--hard")
    (package / "new.py").unlink()
    subprocess.run(["git", "apply"], input=diff, text=True, cwd=package.parents[1], check=True)
    assert (package / "value.py").read_text() == "VALUE = 3\n" and (package / "new.py").read_text() == "NEW = 4\n"


def test_a_package_outside_of_a_checkout(tmp_path: Path, package: Path) -> None:
    bare = tmp_path / "installed" / "tiny"
    bare.parent.mkdir()
    package.rename(bare)
    snapshot.take(tmp_path / "code", bare)
    assert "unknown: not a git checkout" in (tmp_path / "code" / snapshot.DIFF).read_text()


def test_files_python_makes_do_not_count(package: Path, tmp_path: Path) -> None:
    snapshot.take(tmp_path / "code", package)
    value(tmp_path / "code")
    value(package.parent)
    assert snapshot.is_current(tmp_path / "code", package)


KERNELS = """
import json, numpy as np
from navforge.core import provenance
from navforge.geometry import kernels
import navforge
ring = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]])
assert kernels.ring_side(ring, 0, 5, 1.0, 1.0) == kernels.INSIDE
stats = kernels.ring_side.stats
print(json.dumps(dict(file=navforge.__file__, hits=sum(stats.cache_hits.values()),
    misses=sum(stats.cache_misses.values()), git=provenance.git_state())))
"""


def test_the_snapshot_of_navforge_runs_without_compiling(tmp_path: Path) -> None:
    tree = tmp_path / "tree"  # the caches of the checkout are written by tests that run at the same time
    snapshot.take(tree)
    run(KERNELS, PYTHONPATH=str(tree))  # fills the cache
    code = tmp_path / "run" / "code"
    snapshot.take(code, tree / "navforge")
    seen = run(KERNELS, PYTHONPATH=str(code))
    assert seen["file"] == str(code / "navforge" / "__init__.py")
    assert (seen["hits"], seen["misses"]) == (1, 0), "a kernel was compiled again"
    assert seen["git"] == json.loads((code / snapshot.MANIFEST).read_text())["git"]
    kernels = code / "navforge" / "geometry" / "kernels.py"
    kernels.write_text(kernels.read_text() + "\nCHANGED = 1\n")
    assert run(KERNELS, PYTHONPATH=str(code))["misses"] == 1, "the probe does not see compilation"


def run(program: str, **environ: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environ}, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_a_full_disk_is_an_error_of_the_file_and_leaves_nothing(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = []

    def copy(source: Path, target: Path) -> None:
        if copied:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
        copied.append(shutil.copyfile(source, target))

    monkeypatch.setattr(snapshot.shutil, "copy2", copy)
    with pytest.raises(OSError, match="No space left") as raised:
        snapshot.take(tmp_path / "run" / "code", package)
    assert raised.value.errno == errno.ENOSPC and "tiny/" in raised.value.filename2
    assert list((tmp_path / "run").iterdir()) == []

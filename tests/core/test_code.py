"""Artefacts become stale when any module they are made by changes in meaning, and only then."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import navforge
from navforge.core.code import (
    changed_modules,
    code_fingerprint,
    code_text,
    describe_changes,
    import_closure,
    module_hashes,
)
from navforge.metric_cache.fingerprint import BUILDER
from navforge.teacher import importing, teach

PACKAGE = Path(navforge.__file__).parent
ENTRIES = (BUILDER, *teach.CODE, importing.CODE, "navforge.inputs.read")
SOURCE = '''
"""Module."""
LIMIT = 3  # metres


def f(x):
    """Twice x."""
    return 2 * x
'''
PROGRAM = """
import json, sys
from navforge.core.code import code_fingerprint, module_hashes
print(json.dumps([code_fingerprint(*sys.argv[1:]), dict(module_hashes(*sys.argv[1:]))]))
"""


def test_comments_docstrings_and_layout_do_not_count() -> None:
    assert code_text(SOURCE) == code_text("LIMIT=3\ndef f(x):\n  return (2*x)\n")
    assert code_text(SOURCE) != code_text(SOURCE.replace("3", "4"))
    assert code_text(SOURCE) != code_text(SOURCE.replace("2 * x", "x * 2"))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package; the functions read it in place of navforge."""
    files = {
        "__init__": "",
        "core/__init__": "",
        "core/base": "X = 1",
        "core/lazy": "Y = 1",
        "core/types": "Z = 1",
        "core/apart": "W = 1",
        "core/many": "V = 1",
        "make": "from navforge.core import (\n    base,  # used\n    many as m,\n)\n"
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from navforge.core.types import Z\n"
        "def f():\n    from navforge.core.lazy import Y\n    return Y\n",
    }
    for name, text in files.items():
        path = tmp_path / "navforge" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    shutil.copy(PACKAGE / "core" / "code.py", tmp_path / "navforge" / "core" / "code.py")
    shutil.copy(PACKAGE / "core" / "files.py", tmp_path / "navforge" / "core" / "files.py")
    shutil.copy(PACKAGE / "core" / "errors.py", tmp_path / "navforge" / "core" / "errors.py")
    return tmp_path


def run(tree: Path, *modules: str) -> tuple[str, dict[str, str]]:
    import json  # noqa: PLC0415

    command = [sys.executable, "-c", PROGRAM, *modules]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(tree), "PATH": ""}, capture_output=True, text=True, check=True
    )
    text, hashes = json.loads(done.stdout)
    return text, hashes


def test_imports_are_followed_however_they_are_written(tree: Path) -> None:
    expected = ["", ".core", ".core.base", ".core.lazy", ".core.many", ".make"]
    assert sorted(run(tree, "navforge.make")[1]) == [f"navforge{name}" for name in expected]


@pytest.mark.parametrize("name", ["__init__", "core/__init__", "core/base", "core/lazy", "core/many", "make"])
def test_a_change_anywhere_in_the_closure_counts(tree: Path, name: str) -> None:
    before, hashes = run(tree, "navforge.make")
    path = tree / "navforge" / f"{name}.py"
    path.write_text("# a comment\n" + path.read_text())
    assert run(tree, "navforge.make")[0] == before
    path.write_text(path.read_text() + "\nNEW = 1\n")
    after, changed = run(tree, "navforge.make")
    module = "navforge." + name.replace("/", ".")
    assert after != before
    assert changed_modules(hashes, changed) == [module.removesuffix(".__init__")]
    assert module.removesuffix(".__init__") in describe_changes(hashes, changed)


@pytest.mark.parametrize("name", ["core/types", "core/apart"])
def test_a_change_elsewhere_does_not_count(tree: Path, name: str) -> None:
    before = run(tree, "navforge.make")
    (tree / "navforge" / f"{name}.py").write_text("CHANGED = 1\n")
    assert run(tree, "navforge.make") == before


@pytest.mark.parametrize("entry", ENTRIES)
def test_closures_hold_what_python_loads(entry: str) -> None:
    """What a fresh interpreter has loaded after the import is in the closure, so no module can be forgotten."""
    program = f"import {entry}, sys; print(*[m for m in sys.modules if m.split('.')[0] == 'navforge'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= set(import_closure(entry))


def test_entries_have_different_closures() -> None:
    assert len({code_fingerprint(entry) for entry in ENTRIES}) == len(ENTRIES)
    assert not any(name.startswith("navforge.town") for entry in ENTRIES for name in import_closure(entry))
    assert describe_changes(None, module_hashes(BUILDER)) == "the code that makes it has changed"

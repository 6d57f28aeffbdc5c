"""The on-disk cache of kernels must not outlive a change in any module they are compiled from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import NumbaError

import navforge
from navforge.geometry.compiled import kernel

SOURCE = Path(navforge.__file__).parent
CONSTANT = "LIMIT = 1.0\n"
PROGRAM = "from navforge.geometry.caller import doubled; print(doubled())"


def run(root: Path) -> str:
    environment = dict(os.environ, PYTHONPATH=str(root))
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True, cwd=root
    )
    return done.stdout.strip()


def test_a_changed_constant_in_another_file_recompiles(tmp_path: Path) -> None:
    package = tmp_path / "navforge"
    (package / "geometry").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "geometry" / "__init__.py").write_text("")
    shutil.copy(SOURCE / "geometry" / "compiled.py", package / "geometry")
    (package / "core").mkdir()
    for name in ("__init__.py", "code.py", "errors.py", "files.py"):
        shutil.copy(SOURCE / "core" / name, package / "core")
    (package / "geometry" / "constants.py").write_text(CONSTANT)
    (package / "geometry" / "caller.py").write_text(
        "from navforge.geometry.compiled import kernel\n"
        "from navforge.geometry.constants import LIMIT\n"
        "@kernel\n"
        "def doubled():\n"
        "    return 2.0 * LIMIT\n"
    )
    assert run(tmp_path) == "2.0"
    cached = list((package / "geometry" / "__pycache__").glob("caller.doubled*.nbc"))
    assert len(cached) == 1
    written = cached[0].stat().st_mtime_ns
    assert run(tmp_path) == "2.0"
    assert cached[0].stat().st_mtime_ns == written, "unchanged sources reuse the compiled kernel"
    (package / "geometry" / "constants.py").write_text(CONSTANT.replace("1.0", "3.0"))
    assert run(tmp_path) == "6.0"


@kernel
def total(pair):
    return pair[0].sum() + pair[1][0]


@kernel
def made(size):
    return np.zeros(size)


@kernel(allocates=True)
def doubled(values):
    out = np.empty(len(values))
    for i in range(len(values)):
        out[i] = 2.0 * total((values, values))
    return out


def test_kernels_borrow_arrays() -> None:
    values = np.arange(3.0)
    held = sys.getrefcount(values)
    for _ in range(5):
        assert total((values, values)) == 3.0
        assert doubled(values).tolist() == [6.0, 6.0, 6.0]
    assert sys.getrefcount(values) == held


def test_kernels_that_allocate_must_say_so() -> None:
    with pytest.raises(NumbaError, match="Only accept returning of array passed"):
        made(3)


def test_types_that_moved_recompile(tmp_path: Path) -> None:
    """Numba's index of a function names the types of its arguments, and cannot be read where one is gone."""
    package = tmp_path / "navforge"
    (package / "geometry").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "geometry" / "__init__.py").write_text("")
    shutil.copy(SOURCE / "geometry" / "compiled.py", package / "geometry")
    (package / "core").mkdir()
    for name in ("__init__.py", "code.py", "errors.py", "files.py"):
        shutil.copy(SOURCE / "core" / name, package / "core")
    pair = "from typing import NamedTuple\nclass Pair(NamedTuple):\n    first: float\n    second: float\n"
    caller = (
        "from navforge.geometry.compiled import kernel\n"
        "from navforge.geometry.{module} import Pair\n"
        "@kernel\n"
        "def total(pair):\n"
        "    return pair.first + pair.second\n"
        "def doubled():\n"
        "    return total(Pair(1.5, {second}))\n"
    )
    (package / "geometry" / "here.py").write_text(pair)
    (package / "geometry" / "caller.py").write_text(caller.format(module="here", second=2.0))
    assert run(tmp_path) == "3.5"
    (package / "geometry" / "here.py").unlink()
    (package / "geometry" / "there.py").write_text(pair)
    (package / "geometry" / "caller.py").write_text(caller.format(module="there", second=3.0))
    assert run(tmp_path) == "4.5"

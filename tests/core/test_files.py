"""Files are whole or absent; fingerprints see every difference and nothing else."""

from __future__ import annotations

import errno
import inspect
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import polars as pl
import pytest

from navforge.core.files import atomic_path, check_writable, file_fingerprint, fingerprint, write_json, write_text


def test_failure_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    words = r"No space left on device while writing a.txt \(0.0 MiB of it written, .*MiB free\).*a.txt'$"
    with pytest.raises(OSError, match=words) as raised, atomic_path(target) as path:
        path.write_text("half of the new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.filename == str(target)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_end_at_any_moment_leaves_no_litter(tmp_path: Path) -> None:
    """A signal handler may raise between any two instructions: before the file is there, after, before the block."""

    def end_at(number: int) -> bool:
        """Write with SystemExit raised at the given instruction; whether there was one."""
        count = 0

        def trace(frame: FrameType, event: str, _: object) -> Any:
            nonlocal count
            if frame.f_code not in codes:
                return None
            frame.f_trace_opcodes = True
            count += event == "opcode"
            if event == "opcode" and count == number:
                sys.settrace(None)
                raise SystemExit(143)
            return trace

        try:
            sys.settrace(trace)
            with atomic_path(tmp_path / "a.txt") as path:
                path.write_text("x")
        except SystemExit as ended:
            traceback.clear_frames(ended.__traceback__)  # as `parallel.call` does before it ends a worker
        finally:
            sys.settrace(None)
        return count >= number

    codes = {inspect.unwrap(atomic_path).__code__, type(atomic_path("")).__enter__.__code__}
    number = 1
    while end_at(number):
        assert {file.name for file in tmp_path.iterdir()} <= {"a.txt"}, f"instruction {number}"
        (tmp_path / "a.txt").unlink(missing_ok=True)
        number += 1
    assert number > 50


def test_a_place_that_cannot_be_written_is_named_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "a.txt")
    assert os.listdir(tmp_path / "new") == []
    write_text(tmp_path / "file", "")
    (tmp_path / "folder").mkdir()
    for name, error in (("folder", IsADirectoryError), ("file/a", FileExistsError), ("file/b/a", NotADirectoryError)):
        with pytest.raises(error) as raised:
            check_writable(tmp_path / name)
        assert str(raised.value.filename).startswith(str(tmp_path / name.split("/", maxsplit=1)[0]))


def test_kill_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    script = (
        "import os, sys, signal\nfrom navforge.core.files import atomic_path\n"
        "with atomic_path(sys.argv[1]) as p:\n    p.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], check=False)
    assert done.returncode == -9
    assert target.read_text() == "old"


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"score": float("nan")})
    assert not list(tmp_path.iterdir())


def test_fingerprint_sees_values_types_and_boundaries() -> None:
    parts = [
        (1,), (1.0,), (True,), ("1",), (None,), ("ab", "c"), ("a", "bc"), (["a"], "b"), (["a", "b"],),
        (np.zeros(2),), (np.zeros(2, np.float32),), (np.zeros((2, 1)),), (b"x",), ({"a": 1},), ({"a": 2},),
    ]  # fmt: skip
    assert len({fingerprint(*p) for p in parts}) == len(parts)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    with pytest.raises(TypeError):
        fingerprint(object())


def test_file_fingerprint_is_of_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    (tmp_path / "b").write_bytes(b"x" * 2_999_999 + b"y")
    assert file_fingerprint(tmp_path / "a") != file_fingerprint(tmp_path / "b")


def test_a_full_disk_is_named_by_the_file_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(tmp_path / "table.txt", "text")
    assert caught.value.filename == str(tmp_path / "table.txt") and caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a full disk to write to")
def test_a_full_disk_is_named_where_polars_meets_it(tmp_path: Path) -> None:
    table = pl.DataFrame({"x": [1.0]})
    words = r"No space left on device while writing a\.parquet"
    with pytest.raises(OSError, match=words) as caught, atomic_path(tmp_path / "a.parquet") as path:
        path.unlink()
        path.symlink_to("/dev/full")
        table.write_parquet(path)
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "a.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_by_the_innermost_file(tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    outer, inner = atomic_path(tmp_path / "outer"), atomic_path(tmp_path / "inner")
    with pytest.raises(OSError, match="while writing inner") as caught, outer, inner:
        raise full
    assert caught.value.filename == str(tmp_path / "inner")
    assert list(tmp_path.iterdir()) == []

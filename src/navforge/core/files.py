"""Files that are either whole or absent, and fingerprints of what went into them."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from navforge.core.errors import DataError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM = 1 << 20
"""Free bytes of a disk below which a short write means that it is full."""


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success flush it to disk and rename it over `target`.

    A reader sees the old file or the complete new one, never a part. On an error, a full disk included, the
    temporary file is removed and `target` is untouched; after `kill -9` a file named `.NAME.*.partial` may remain,
    which nothing reads.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    try:  # named before it is created: a signal at any moment finds the name
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except Exception as error:
        number = _error_number(error, target.parent)
        of_another = isinstance(error, OSError) and str(error.filename) not in ("None", str(temporary))
        if number in _FULL and not of_another:
            raise OSError(number, _no_room(number, temporary, target), str(target)) from error
        if number is None or not isinstance(error, OSError) or error.filename is not None:
            raise
        raise OSError(number, error.strerror, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _error_number(error: Exception, folder: Path) -> int | None:
    """The number of an error of the operating system, also of one that a library reports in its own words."""
    if not isinstance(error, OSError):  # Polars: "... underlying IO error: No space left on device (os error 28)"
        return next((number for number in _FULL if os.strerror(number) in str(error)), None)
    if error.errno is None and _free_bytes(folder) < _NO_ROOM:
        return errno.ENOSPC  # numpy reports a short write without a number; a disk without room is what it means
    return error.errno


def _no_room(number: int, temporary: Path, target: Path) -> str:
    """Why a file could not be written to its end, how much of it was, and how much room there is."""
    written = temporary.stat().st_size if temporary.exists() else 0
    before = target.stat().st_size if target.exists() else 0
    needed = f", the file it replaces has {before / 2**20:.1f} MiB" if before else ""
    return (
        f"{os.strerror(number)} while writing {target.name} ({written / 2**20:.1f} MiB of it written{needed}; "
        f"{_free_bytes(target.parent) / 2**20:.1f} MiB free)"
    )


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def check_writable(target: Path | str) -> None:
    """Raise OSError where `atomic_path` could not write a file, before the work whose result it is to hold."""
    target = Path(target)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def write_text(target: Path | str, text: str) -> None:
    """Write a text file atomically (UTF-8)."""
    with atomic_path(target) as path:
        path.write_text(text, encoding="utf-8")


def write_json(target: Path | str, value: Any) -> None:
    """Write indented JSON atomically; NaN is refused because other readers refuse it."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False) + "\n")


def fingerprint(*parts: Any) -> str:
    """Short stable hash (16 hex digits of SHA-256) of plain values, arrays and bytes.

    Arrays count with dtype and shape; dicts regardless of key order. Two runs on two machines agree.
    """
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()[:16]


def file_fingerprint(path: Path | str) -> str:
    """Fingerprint of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def fingerprint_of(content: bytes) -> str:
    """`file_fingerprint` of a file with this content."""
    return hashlib.sha256(content).hexdigest()[:16]


def _feed(digest: Any, part: Any) -> None:
    if isinstance(part, np.ndarray):
        array = np.ascontiguousarray(part)
        digest.update(f"array:{array.dtype.str}:{array.shape}:".encode())
        digest.update(array.tobytes())
    elif isinstance(part, bytes):
        digest.update(b"bytes:%d:" % len(part))
        digest.update(part)
    elif isinstance(part, dict):
        digest.update(b"dict:%d:" % len(part))
        for name in sorted(part, key=str):
            _feed(digest, str(name))
            _feed(digest, part[name])
    elif isinstance(part, list | tuple):
        digest.update(b"list:%d:" % len(part))
        for item in part:
            _feed(digest, item)
    elif part is None or isinstance(part, str | int | float | bool | Path):
        digest.update(f"{'str' if isinstance(part, Path) else type(part).__name__}:{part!s};".encode())
    else:
        raise TypeError(f"cannot fingerprint a {type(part).__name__}")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


@contextmanager
def sole_use(folder: Path) -> Iterator[None]:
    """Let no other process that asks for it use the folder meanwhile; made if absent, no file is left in it.

    Where the file system knows no locks, nothing is held.

    Raises:
        DataError: another process uses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        try:
            lock(held)
        except BlockingIOError as error:
            raise DataError(
                f"another process works in {folder} just now; wait for it or give another folder"
            ) from error
        yield
    finally:
        os.close(held)


def lock(held: int) -> None:
    """Lock an open file or folder until it is closed; where the file system knows no locks, nothing is held.

    Raises:
        BlockingIOError: another process has locked it.
    """
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise

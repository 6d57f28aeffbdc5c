"""Opening files from outside: regular files only, and errors that say what is there in place of the file.

Folders, pipes, devices and circles of links are refused before anything blocks; a file of 0 bytes, a Git LFS pointer
and a web page are recognised by their size and first bytes and named for what they are.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from pathlib import Path
from typing import BinaryIO

from navforge.core.errors import DataError, NavforgeError

LARGEST = 1 << 34
"""Bytes of the largest file that is read at once."""
_HEAD = 1024
_LFS = b"version https://git-lfs.github.com/spec/"
_MARKUP = (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<error", b"<!--")
_FORMATS = (
    (b"\x1f\x8b", "compressed with gzip; decompress it with gunzip"),
    (b"BZh", "compressed with bzip2; decompress it with bunzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz; decompress it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd; decompress it with unzstd"),
    (b"PK\x03\x04", "a zip archive (an npz file or a checkpoint, for example)"),
    (b"SQLite format 3\x00", "an SQLite database (a map, for example)"),
    (b"\x93NUMPY", "an npy array"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow file"),
    (b"%PDF", "a PDF document"),
)
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(
    path: Path | str, what: str, *, missing: str = "", empty: bool = False, error: type[NavforgeError] = DataError
) -> BinaryIO:
    """Open a regular file, or a symbolic link to one, for reading in binary.

    Args:
        path: the file.
        what: what it is to the user, such as "scene filter".
        missing: how to get the file, for the message where there is none.
        empty: whether a file of 0 bytes is acceptable.
        error: class of the errors.

    Raises:
        NavforgeError: of class `error`: not there, not a regular file, not readable, empty, a Git LFS pointer or a
            web page; the message names `what`, the path and the remedy.
    """
    try:
        _refuse_special(os.stat(path), path, what, error)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as failure:
        if isinstance(failure, NavforgeError):
            raise
        raise error(_unopened(path, what, missing, failure)) from failure
    file = os.fdopen(descriptor, "rb")
    try:
        facts = os.fstat(descriptor)
        _refuse_special(facts, path, what, error)
        head = file.read(_HEAD)
        file.seek(0)
        reason = impostor(head, facts.st_size, path)
        if reason and not (empty and facts.st_size == 0):
            raise error(f"{what} {path} is {reason}")
    except OSError as failure:
        file.close()
        raise error(f"{what} {path} cannot be read: {failure.strerror or failure}") from failure
    except BaseException:
        file.close()
        raise
    return file


def read_bytes(
    path: Path | str,
    what: str,
    *,
    limit: int = LARGEST,
    missing: str = "",
    empty: bool = False,
    error: type[NavforgeError] = DataError,
) -> bytes:
    """The content of a file of at most `limit` bytes; arguments and errors as `open_regular`."""
    with open_regular(path, what, missing=missing, empty=empty, error=error) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise error(f"{what} {path} has {size} bytes, at most {limit} are read; is it the right file?")
        try:
            return file.read(size)
        except OSError as failure:
            raise error(f"{what} {path} cannot be read: {failure.strerror or failure}") from failure


def check(path: Path | str, what: str, *, missing: str = "", error: type[NavforgeError] = DataError) -> None:
    """Raise as `open_regular`; for files that a library opens by their path."""
    open_regular(path, what, missing=missing, error=error).close()


def impostor(head: bytes, size: int, path: Path | str) -> str | None:
    """What a file is that cannot be what its name says, with the remedy; None where it may be.

    Args:
        head: first bytes of the file.
        size: bytes of the whole file.
        path: of the file, for the remedy.
    """
    if size == 0:
        return "empty (0 bytes): copy or download it again"
    if head.startswith(_LFS):
        folder = Path(path).parent
        return f"a Git LFS pointer, not the file itself: run `git lfs pull` in {folder}"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_MARKUP):
        return "a web page (HTML or XML), such as a login or error page of a server: download the file again"
    return None


def format_of(head: bytes) -> str | None:
    """Format of a file by its first bytes, in words; None where they say nothing."""
    return next((words for magic, words in _FORMATS if head.startswith(magic)), None)


def but_is(head: bytes) -> str:
    """`; it is FORMAT` for the end of a message about a file of the wrong format; empty where that is unknown."""
    words = format_of(head)
    return f"; it is {words}" if words else ""


def inside(root: Path, relative: str, what: str) -> Path:
    """The path of a file that data names, which must be under `root`.

    Names are resolved before the file system is looked at: symbolic links inside the root may lead anywhere, as those
    who made them intended.

    Raises:
        DataError: the name is absolute, leads out of the root, or is not a name of a file.
    """
    normal = posixpath.normpath(relative)
    if relative == "" or "\0" in relative or posixpath.isabs(relative) or normal in (".", "..") or normal[:3] == "../":
        raise DataError(f"{what}: the path {shown(relative)} is refused: it does not lead to a file under {root}")
    return root / normal


def shown(value: object, most: int = 80) -> str:
    """A bounded `repr`, which is safe for values of any size and nesting and shows control characters escaped."""
    if isinstance(value, str | bytes):
        return repr(value) if len(value) <= most else f"{value[:most]!r}..."
    if isinstance(value, bool | float | complex | type(None)):
        return repr(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 4 * most else f"an integer of {value.bit_length()} bits"
    size = f" of {len(value)} items" if isinstance(value, list | tuple | dict | set | frozenset) else ""
    return f"a {type(value).__name__}{size}"


def _refuse_special(facts: os.stat_result, path: Path | str, what: str, error: type[NavforgeError]) -> None:
    if not stat.S_ISREG(facts.st_mode):
        kind = next((words for is_kind, words in _KINDS if is_kind(facts.st_mode)), "not a file")
        raise error(f"{what} {path} is {kind}, where a regular file is expected")


def _unopened(path: Path | str, what: str, missing: str, failure: OSError | ValueError) -> str:
    remedy = f"; {missing}" if missing else ""
    number = failure.errno if isinstance(failure, OSError) else None
    if number == errno.ENOENT and os.path.islink(path):
        return f"{what} {path} is a symbolic link to {os.readlink(path)}, which does not exist{remedy}"
    if number in (errno.ENOENT, errno.ENOTDIR):
        return f"{what} {path} not found{remedy}"
    if number == errno.ELOOP:
        return f"{what} {path} is a circle of symbolic links"
    if number in (errno.EACCES, errno.EPERM):
        return f"{what} {path} cannot be read: permission denied for this user"
    reason = failure.strerror if isinstance(failure, OSError) else failure
    return f"{what} {shown(str(path), 200)} cannot be read: {reason}"

"""Errors of the operating system in the words of a user error: where, what, and what to do."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path


def describe_os_error(error: OSError) -> tuple[str, str]:
    """What failed and where; and what to do.

    A file that is written in one piece (`core.files.atomic_path`) carries its final name second.
    """
    path = error.filename2 if error.filename2 is not None else error.filename
    name = path.decode(errors="replace") if isinstance(path, bytes) else str(path)
    what = error.strerror or str(error) or type(error).__name__
    return (what if path is None else f"{name}: {what}"), _remedy(error, None if path is None else name)


def _remedy(error: OSError, path: str | None) -> str:
    match error:
        case IsADirectoryError():
            return "a folder is there where a file is expected: give another path"
        case NotADirectoryError() | FileExistsError():
            return "a file is there where a folder is expected: give another path or move the file away"
        case FileNotFoundError():
            return "check the path"
        case PermissionError():
            return "check who may read and write there"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        room = "" if path is None else f" ({_free_space(path)})"
        return f"the disk is full{room}: make room and run the same command again"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many files are open: fewer train.loader_workers, or a larger ulimit -n"
    if error.errno in (errno.EAGAIN, errno.ENOMEM):
        return "no process or memory left: fewer train.loader_workers, or a larger ulimit -u"
    return "check the path and the disk"


def _free_space(path: str) -> str:
    folder = next((parent for parent in Path(path).absolute().parents if parent.is_dir()), Path("/"))
    return f"{shutil.disk_usage(folder).free / 1e6:.1f} MB are free in {folder}"

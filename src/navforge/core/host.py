"""What a container may lack, and libraries need at import: an account name, a home folder, a writable package.

`torch` asks for the user's name, numba for a folder that can hold compiled kernels, matplotlib for one that can hold
its settings. Each of them ends the program, or warns at every start, where there is none.
"""

from __future__ import annotations

import os
import pwd
import resource
import stat
import tempfile
from pathlib import Path

from navforge.core.errors import DataError

_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""Where `getpass.getuser` looks, before it asks for the account."""
_OTHER_FILES = 512
"""Files that libraries, pools and logs may have open."""


def complete_environment(package: Path) -> None:
    """Set the environment variables that libraries need and cannot work out on this machine; existing ones stay.

    Args:
        package: folder of the installed package, beside whose files numba keeps compiled kernels.
    """
    if not any(os.environ.get(name) for name in _NAMES) and not _has_account():
        os.environ["USER"] = f"uid{os.getuid()}"
    if "NUMBA_CACHE_DIR" not in os.environ and not _is_writable(package) and not _is_writable(_user_cache()):
        os.environ["NUMBA_CACHE_DIR"] = str(_private_folder() / "numba")
    if "MPLCONFIGDIR" not in os.environ and not _is_writable(_user_config()):
        os.environ["MPLCONFIGDIR"] = str(_private_folder() / "matplotlib")


def _has_account() -> bool:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return True


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))


def _user_config() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"))


def _is_writable(folder: Path) -> bool:
    """Whether this user can write into a folder, or could make it."""
    if not folder.is_absolute():  # the home folder is unknown: "~" was left as it is
        return False
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _private_folder() -> Path:
    """A folder for temporary caches that only this user can write to; compiled kernels read from it are executed."""
    folder = Path(tempfile.gettempdir()) / f"navforge-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="navforge-"))
    is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="navforge-"))


def allow_open_files(count: int) -> None:
    """Let this process hold that many files open beside those it has, as far as the system permits.

    Raises:
        DataError: it does not permit so many.
    """
    needed = count + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise DataError(f"{needed} files have to be open at once and this system allows {hard}: raise ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

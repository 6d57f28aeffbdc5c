"""The code a run runs: a copy of the package in the run folder, taken at launch.

Packages of other people that encoder or head are from lie beside it, and ranks import them from there.

Compiled kernels come along, so that no rank compiles them again: a kernel carries the fingerprint of its sources
(`geometry.compiled`), which does not depend on where these lie.
"""

from __future__ import annotations

import compileall
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from navforge.core import extensions, provenance
from navforge.core.errors import DataError
from navforge.core.files import fingerprint, write_json, write_text

MANIFEST = provenance.SNAPSHOT
DIFF = "changes.diff"


def take(code: Path, package: Path = provenance.PACKAGE, *, classes: Iterable[type] = ()) -> None:
    """Copy the package into the folder `code`, with its git state (`snapshot.json`) and what was not committed.

    An existing folder is replaced; a reader finds the old or the new one whole.

    Args:
        code: the folder.
        package: what is copied.
        classes: those of other packages, which are copied too, with what they import from where they lie.

    Raises:
        DataError: the package changed while it was copied.
        OSError: a file cannot be copied; nothing is left of the copy.
        ConfigError: the packages of `classes` are too large.
    """
    sources = {f"{package.name}/{name}": package / name for name in _files_of(package)} | extensions.files(classes)
    name = f".{code.name}.{uuid.uuid4().hex}"  # no other process writes there
    partial, old = code.with_name(f"{name}.partial"), code.with_name(f"{name}.old")
    try:
        before = sources_fingerprint(package)
        for name, source in sources.items():  # not copytree, which goes on after an error and loses its number
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, partial / name)
        if sources_fingerprint(partial / package.name) != before:
            raise DataError(f"{package} changed while it was copied; run the same command again")
        compileall.compile_dir(partial, quiet=1)  # once, not in every rank
        write_json(
            partial / MANIFEST, {"sources": before, "taken_from": str(package), "git": provenance.git_state(package)}
        )
        write_text(partial / DIFF, uncommitted(package))
        if code.exists():
            os.rename(code, old)
        os.rename(partial, code)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _files_of(package: Path) -> list[str]:
    """Relative paths of the package's files, but for those that are being written."""
    files = sorted(path.relative_to(package) for path in package.rglob("*") if path.is_file())
    return [path.as_posix() for path in files if not (".tmp." in path.name or path.name.endswith(".partial"))]


def is_current(code: Path, package: Path = provenance.PACKAGE, *, classes: Iterable[type] = ()) -> bool:
    """Whether the snapshot holds the same sources as the package, and as those of `classes` (see `take`)."""
    for name, source in extensions.files(classes).items():
        if not (code / name).is_file() or (code / name).read_bytes() != source.read_bytes():
            return False
    return sources_fingerprint(code / package.name) == sources_fingerprint(package)


def sources_fingerprint(package: Path) -> str:
    """Hash of all files of a package but for what Python and numba make themselves."""
    files = sorted(p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return fingerprint([(p.relative_to(package).as_posix(), p.read_bytes()) for p in files])


def uncommitted(package: Path) -> str:
    """What the package's files differ in from their commit, new files included; a comment where that is unknown."""
    reason = provenance.git_state(package)["reason"]
    if reason is not None:
        return f"# changes since the last commit are unknown: {reason}\n"
    diff = provenance.run_git(package, "diff", "HEAD", "--", ".").text
    top = Path(provenance.run_git(package, "rev-parse", "--show-toplevel").text.strip())
    untracked = provenance.run_git(package, "ls-files", "--others", "--exclude-standard", "--full-name", "--", ".").text
    for name in untracked.splitlines():
        diff += provenance.run_git(top, "diff", "--no-index", "--", os.devnull, name, statuses=(0, 1)).text
    return diff

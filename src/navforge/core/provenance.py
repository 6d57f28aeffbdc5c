"""What was run, with what, from which commit: written beside every output."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import navforge
from navforge.core import config as configs
from navforge.core import extensions
from navforge.core.code import SNAPSHOT
from navforge.core.files import write_json, write_text
from navforge.core.outside.text import read_json
from navforge.core.screen import say

LIBRARIES = (
    "numpy",
    "numba",
    "scipy",
    "shapely",
    "polars",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "peft",
    "lightning-fabric",
)

_STARTED = datetime.datetime.now(datetime.UTC)


def collect(command: list[str] | None = None, *, classes: Iterable[type] = ()) -> dict[str, Any]:
    """Versions, git state, machine, times and command line of this process, as plain values.

    `started` is when the process loaded this module, `written` is now; `extensions` says where those of `classes` that
    are of other packages come from, and has a hash of their code.
    """
    return {
        "navforge": importlib.metadata.version("navforge"),
        "python": platform.python_version(),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "git": git_state(),
        "extensions": extensions.describe(classes),
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count()},
        "started": _STARTED.isoformat(timespec="seconds"),
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command if command is not None else sys.argv,
        "directory": str(Path.cwd()),
    }


PACKAGE = Path(navforge.__file__).resolve().parent
NO_CHECKOUT = "not a git checkout"
UNTRACKED = "installed inside a repository that does not track it"


def git_state(package: Path = PACKAGE) -> dict[str, Any]:
    """Commit and dirtiness of the checkout that a package is part of.

    A snapshot of the package (`launch.snapshot`) has those of the checkout it was taken from.

    Returns:
        `commit` and `dirty`; both are None where they cannot be known, and `reason` says why (else it is None).
    """
    snapshot = package.parent / SNAPSHOT
    if snapshot.is_file():
        return read_json(snapshot, "snapshot record")["git"]
    tracked = run_git(package, "ls-files", "--error-unmatch", "__init__.py")
    status = run_git(package, "status", "--porcelain", "--", ".")
    commit = run_git(package, "rev-parse", "HEAD")
    if failure := next((done.reason for done in (tracked, status, commit) if done.reason is not None), None):
        return {"commit": None, "dirty": None, "reason": failure}
    return {"commit": commit.text.strip(), "dirty": bool(status.text.strip()), "reason": None}


def describe_git(state: dict[str, Any]) -> str:
    """A git state in words, as reports print it."""
    if state["commit"] is None:
        return f"unknown ({state.get('reason') or 'not recorded'})"
    return f"{state['commit']}{' with changes' if state['dirty'] else ''}"


@dataclass(frozen=True)
class GitAnswer:
    """What a git command printed, or why there is no answer."""

    text: str
    reason: str | None = None


def run_git(folder: Path, *words: str, statuses: tuple[int, ...] = (0,)) -> GitAnswer:
    """Run git in a folder, with a time limit; an exit status other than `statuses` is a reason, not an exception."""
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        return GitAnswer("", "git is not installed")
    except (OSError, subprocess.TimeoutExpired) as error:
        return GitAnswer("", f"git did not answer: {error}")
    if done.returncode in statuses:
        return GitAnswer(done.stdout)
    if "not a git repository" in done.stderr:
        return GitAnswer("", NO_CHECKOUT)
    if "did not match any file" in done.stderr:
        return GitAnswer("", UNTRACKED)
    first_line = next(iter(done.stderr.strip().splitlines()), f"git {words[0]} ended with status {done.returncode}")
    return GitAnswer("", first_line)


def record(out: Path | str, config: Any, *, name: str, classes: Iterable[type] = ()) -> None:
    """Write `NAME.config.yaml` and `NAME.provenance.json` (see `collect`) into the folder `out`."""
    out = Path(out)
    facts = collect(classes=classes)
    reason = facts["git"].get("reason")
    if reason not in (None, NO_CHECKOUT, UNTRACKED):
        say(f"navforge: warning: the commit of navforge is recorded as unknown: {reason}", file=sys.stderr)
    write_text(out / f"{name}.config.yaml", configs.to_yaml(config))
    write_json(out / f"{name}.provenance.json", facts)

"""Scenes and logs that failed: one record for all verbs, one file of tracebacks, one list by cause."""

from __future__ import annotations

import dataclasses
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import NavforgeError
from navforge.core.files import write_json
from navforge.core.screen import say

FAILURES = "failures.json"
"""File of a verb's output folder with what failed in the last run, cause and traceback; absent if nothing did."""

_CAUSES, _SCENES = 10, 3
"""Causes listed, and scenes named per cause."""
_OWN = re.compile(r"\S*/\S*|\b[0-9a-f]{16}\b|\b\d+\b")
"""What differs between failures of one cause: paths, tokens and numbers, such as that of a frame."""


@dataclass(frozen=True)
class Failure:
    """One failed scene, or a whole log."""

    token: str | None
    """The scene; None where the log as a whole failed."""
    log_name: str
    error: str
    traceback: str

    @property
    def name(self) -> str:
        """Scene and log, in words."""
        return f"log {self.log_name}" if self.token is None else f"{self.token} ({self.log_name})"


def failure_of(error: Exception, log_name: str, token: str | None = None) -> Failure:
    """What an exception says of a scene, or of a log as a whole."""
    return Failure(token, log_name, cause_of(error), "".join(traceback.format_exception(error)))


def cause_of(error: Exception) -> str:
    """What an exception says; the class is named where the text is not navforge's own."""
    return str(error) if isinstance(error, NavforgeError) else f"{type(error).__name__}: {error}"


class LogFailedError(Exception):
    """Scenes of a log failed, so what is made of the log is not written."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__(describe_failures(failures))
        self.failures = tuple(failures)


class SceneFailures:
    """Failures of one log's scenes, collected while the other scenes go on."""

    def __init__(self, log_name: str) -> None:
        self.log_name = log_name
        self.failures: list[Failure] = []

    @contextmanager
    def of(self, token: str) -> Iterator[None]:
        """Record an exception of the block as failure of a scene."""
        try:
            yield
        except Exception as error:  # the boundary of one scene
            self.failures.append(failure_of(error, self.log_name, token))

    def require_none(self) -> None:
        """Raise LogFailedError if any scene failed."""
        if self.failures:
            raise LogFailedError(self.failures)


def in_order(failures: Sequence[Failure]) -> tuple[Failure, ...]:
    """Failures by log, then by scene."""
    return tuple(sorted(failures, key=lambda failure: (failure.log_name, failure.token or "")))


def write_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Write every failure with its traceback, by log and scene; without failures remove the file.

    Where it cannot be written, as on a full disk, a warning says so: the causes themselves are still to be reported.
    """
    path.unlink(missing_ok=True)
    if not failures:
        return
    try:
        write_json(path, [dataclasses.asdict(failure) for failure in in_order(failures)])
    except OSError as error:
        say(f"navforge: warning: {path}: {error.strerror or error}; no tracebacks are kept", file=sys.stderr)


def describe_failures(failures: Sequence[Failure]) -> str:
    """A line per cause, the most frequent first; errors that differ only in the scene, paths and numbers share one."""
    groups: dict[str, list[Failure]] = {}
    for failure in in_order(failures):
        cause = failure.error.replace(failure.log_name, "0")
        cause = cause if failure.token is None else cause.replace(failure.token, "0")
        groups.setdefault(_OWN.sub("0", cause), []).append(failure)
    ordered = sorted(groups.values(), key=len, reverse=True)
    lines = [f"  {_line(group)}" for group in ordered[:_CAUSES]]
    if len(groups) > _CAUSES:
        lines.append(f"  ... and {len(groups) - _CAUSES} more causes")
    return "\n".join(lines)


def _line(group: Sequence[Failure]) -> str:
    """One cause with its scenes."""
    first_line = group[0].error.partition("\n")[0]
    named = ", ".join(failure.name for failure in group[:_SCENES])
    if len(group) == 1:
        return f"{named}: {first_line}"
    rest = f" and {len(group) - _SCENES} more" if len(group) > _SCENES else ""
    such_as = "" if len({failure.error for failure in group}) == 1 else " such as"
    logs = len({failure.log_name for failure in group})
    noun = "logs" if group[0].token is None else f"scenes of {logs} logs" if logs > 1 else "scenes"
    return f"{len(group)} {noun}, {named}{rest}:{such_as} {first_line}"

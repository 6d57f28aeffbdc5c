"""Scenes that could not be planned for or scored: named with their cause, and a reason to publish nothing."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import NavforgeError
from navforge.core.files import write_json

_CAUSES, _SCENES = 10, 3
"""Causes shown, and scenes named per cause."""
_OWN = re.compile(r"\S*/\S*|\b\d+\b")
"""What differs between failures of one cause: paths and numbers."""


@dataclass(frozen=True)
class Failure:
    """One failed scene."""

    token: str
    log_name: str
    error: str
    traceback: str


class ScenesFailedError(NavforgeError):
    """Some scenes of a split failed, so no score may be published."""

    def __init__(self, what: str, failures: Sequence[Failure], scenes: int) -> None:
        self.failures = tuple(sorted(failures, key=lambda failure: (failure.log_name, failure.token)))
        groups = _by_cause(self.failures)
        lines = [f"  {_line(group)}" for group in groups[:_CAUSES]]
        if len(groups) > _CAUSES:
            lines.append(f"  ... and {len(groups) - _CAUSES} more causes")
        head = f"{what}: {len(self.failures)} of {scenes} scenes failed; no score is published"
        super().__init__("\n".join([head, *lines]))

    def write(self, path: Path) -> None:
        """Write every failure with its traceback."""
        write_json(path, [dataclasses.asdict(failure) for failure in self.failures])


def _by_cause(failures: Sequence[Failure]) -> list[list[Failure]]:
    """Failures whose errors differ at most in the scene, paths and numbers together; the most frequent cause first."""
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        cause = failure.error.replace(failure.token, "0").replace(failure.log_name, "0")
        groups.setdefault(_OWN.sub("0", cause), []).append(failure)
    return sorted(groups.values(), key=len, reverse=True)


def _line(group: Sequence[Failure]) -> str:
    """One cause with its scenes."""
    named = ", ".join(f"{failure.token} ({failure.log_name})" for failure in group[:_SCENES])
    if len(group) == 1:
        return f"{named}: {group[0].error}"
    rest = f" and {len(group) - _SCENES} more" if len(group) > _SCENES else ""
    such_as = "" if len({failure.error for failure in group}) == 1 else " such as"
    return f"{len(group)} scenes, {named}{rest}:{such_as} {group[0].error}"

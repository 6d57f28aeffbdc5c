"""Scenes that could not be planned for or scored: named with their cause, and a reason to publish nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import NavforgeError
from navforge.core.failures import FailedScene, by_cause
from navforge.core.files import write_json


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
        scenes_by_cause = by_cause(
            FailedScene(failure.token, failure.log_name, failure.error) for failure in self.failures
        )
        lines = [f"  {line}" for line in scenes_by_cause]
        head = f"{what}: {len(self.failures)} of {scenes} scenes failed; no score is published"
        super().__init__("\n".join([head, *lines]))

    def write(self, path: Path) -> None:
        """Write every failure with its traceback."""
        write_json(path, [dataclasses.asdict(failure) for failure in self.failures])

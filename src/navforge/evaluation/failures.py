"""Scenes that could not be planned for or scored: a reason to publish nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from navforge.core.errors import NavforgeError
from navforge.core.failures import Failure, describe_failures, in_order, write_failures


class ScenesFailedError(NavforgeError):
    """Some scenes of a split failed, so no score may be published."""

    def __init__(self, what: str, failures: Sequence[Failure], scenes: int, *, details: str = "") -> None:
        self.failures = in_order(failures)
        head = f"{what}: {len(self.failures)} of {scenes} scenes failed; no score is published"
        super().__init__("\n".join(filter(None, (head, describe_failures(self.failures), details))))

    def write(self, path: Path) -> None:
        """Write every failure with its traceback."""
        write_failures(path, self.failures)

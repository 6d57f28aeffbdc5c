"""`CorruptSample`: one scene whose inputs cannot be read, named so that a run can count it and a person can find it."""

from __future__ import annotations

from pathlib import Path

from navforge.core.errors import DataError


class CorruptSample(DataError):  # noqa: N818 (the sample is corrupt)
    """A sensor file of a scene is missing or damaged, or what an input store holds of it is.

    It survives pickling, so a loader's worker can hand it to the training process.
    """

    def __init__(self, token: str, file: Path | str, reason: str) -> None:
        where = "" if str(file) in reason else f" (file {file})"
        super().__init__(f"scene {token}: {reason}{where}")
        self.token = token
        self.file = str(file)
        self.reason = reason

    def __reduce__(self) -> tuple[type[CorruptSample], tuple[str, str, str]]:
        return type(self), (self.token, self.file, self.reason)

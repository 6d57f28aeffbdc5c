"""JSON objects that carry a checksum of all their keys: a bit that changes on a disk or on the way is noticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from navforge.core.errors import DataError
from navforge.core.files import fingerprint, write_json
from navforge.core.outside.text import read_json

CHECKSUM = "checksum"
"""Key of the fingerprint of all other keys."""


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """The object with its checksum."""
    return {**value, CHECKSUM: _checksum(value)}


def unsealed(value: Any) -> dict[str, Any]:
    """The object without its checksum.

    Raises:
        ValueError: not an object, or a value is not the one that was sealed.
    """
    if not isinstance(value, dict) or CHECKSUM not in value:
        raise ValueError("it has no checksum (an earlier version wrote it)")
    content = {name: item for name, item in value.items() if name != CHECKSUM}
    if value[CHECKSUM] != _checksum(content):
        raise ValueError("its checksum does not match")
    return content


def write_sealed(path: Path | str, value: dict[str, Any]) -> None:
    """Write a JSON object that `read_sealed` reads."""
    write_json(path, sealed(value))


def read_sealed(path: Path | str, what: str, *, missing: str = "", remedy: str = "") -> dict[str, Any]:
    """The object that `write_sealed` wrote; arguments as `read_json`.

    Raises:
        DataError: as `read_json`, or a value is not the one that was written.
    """
    value = read_json(path, what, missing=missing, remedy=remedy)
    try:
        return unsealed(value)
    except ValueError as failure:
        raise DataError(f"{what} {path} is damaged: {failure}{'; ' + remedy if remedy else ''}") from failure


def _checksum(value: dict[str, Any]) -> str:
    return fingerprint(json.dumps(value, sort_keys=True, allow_nan=False))

"""What a folder says of how it was made: its config and the command, wherever the folder lies now."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from navforge.core import config as configs
from navforge.core.errors import DataError
from navforge.core.outside.text import read_json, read_yaml

NOT_RECORDED = "not recorded"
SUFFIX = ".provenance.json"
_ENTRY_POINTS = ("navforge", "__main__.py")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How a folder was made."""

    folder: Path
    """Where it lies now."""
    keys: dict[str, str] = field(default_factory=dict)
    """Its config, as the command line has it; empty where there is none."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Of `core.provenance.collect`; empty where nothing is recorded."""
    unreadable: tuple[str, ...] = ()
    """What could not be read, and why."""

    @property
    def command(self) -> str | None:
        """The command that made it, for a shell; None where none is recorded."""
        words = self.facts.get("command")
        return shell_line(words) if isinstance(words, list) and words else None

    @property
    def directory(self) -> str | None:
        """Where the command ran; None where that is not recorded."""
        return self.facts.get("directory")

    def places(self, key: str) -> tuple[Path, ...]:
        """Where the file or folder that a key names may lie: moved along with this folder, or where it was."""
        value, out = self.keys.get(key, "null"), self.keys.get("out", "null")
        if value == "null":
            return ()
        base = Path(self.directory or ".")
        there = base / value
        if out == "null":
            return (there,)
        moved = os.path.normpath(self.folder / os.path.relpath(there, base / out))
        return tuple(dict.fromkeys((Path(moved), there)))


def read_origin(folder: Path, config: str, *provenance: str) -> Origin:
    """Config and provenance of a folder; what is damaged is named, never raised.

    Args:
        folder: where it lies.
        config: file of its config.
        *provenance: files of its provenance, the first one that is there counts.
    """
    problems: list[str] = []
    values = _mapping(read_yaml, folder / config, "config", problems)
    there = next((name for name in provenance if (folder / name).is_file()), None)
    facts = {} if there is None else _mapping(read_json, folder / there, "provenance", problems)
    keys = {name: value for name, _, value in (word.partition("=") for word in configs.to_words(values))}
    return Origin(folder=folder, keys=keys, facts=facts, unreadable=tuple(problems))


def read_facts(path: Path, problems: list[str]) -> dict[str, Any]:
    """The object in a JSON file; empty where it is not there or damaged, which is then noted."""
    return _mapping(read_json, path, "record", problems)


def shell_line(words: Sequence[Any]) -> str:
    """A command line for a shell; navforge by its name, wherever it was installed."""
    first, *rest = map(str, words)
    own = Path(first).name in _ENTRY_POINTS
    return shlex.join(["navforge" if own else first, *rest])


def _mapping(read: Callable[[Path, str], Any], path: Path, what: str, problems: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = read(path, what)
    except (DataError, OSError) as error:
        problems.append(str(error))
        return {}
    if isinstance(values, dict):
        return values
    problems.append(f"{path} is damaged: it holds no mapping")
    return {}

"""The benchmark's own scene filters: how many logs and tokens each lists, and where to get the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from navforge.core.errors import DataError
from navforge.core.files import fingerprint
from navforge.data.paths import DEVKIT_FILTERS, DEVKIT_ROOT_VARIABLE

DEVKIT = "https://github.com/autonomousvision/navsim"


@dataclass(frozen=True)
class _Names:
    """A list of an official file: how many names, and `name_hash` of them."""

    count: int
    hash: str


OFFICIAL: dict[str, dict[str, _Names]] = {
    "navtrain": {
        "log_names": _Names(1192, "51968551b55752ba"),
        "tokens": _Names(103_288, "18f0197faa2da56f"),
    },
    "navtest": {
        "log_names": _Names(136, "caab69a72d6c781e"),
        "tokens": _Names(12_146, "12fd442ccacde95e"),
    },
    "navmini": {
        "log_names": _Names(62, "352083fd3bd127da"),
        "tokens": _Names(396, "754ac0d6f03c121c"),
    },
    "navhard_two_stage": {
        "log_names": _Names(76, "215571186d279d20"),
        "tokens": _Names(450, "e6c258a7a948efae"),
        "reactive_synthetic_initial_tokens": _Names(5462, "bd38aab14fff9504"),
    },
}
"""Lists by the name of the file without `.yaml`; the same in every published version of the devkit."""


def official_size(name: str) -> tuple[int, int] | None:
    """Scenes and logs that an official filter lists; None for another name."""
    lists = OFFICIAL.get(name)
    return None if lists is None else (lists["tokens"].count, lists["log_names"].count)


def name_hash(names: tuple[str, ...]) -> str:
    """Hash of a set of names; of tokens it is the `Split.hash` of all of them."""
    return fingerprint("tokens", sorted(set(names)))


def check_official(path: Path, fields: Mapping[str, Any]) -> None:
    """Refuse a file that is named like an official filter and does not list the same.

    Args:
        path: the file.
        fields: what it holds; lists of names as tuples, None where it has none.

    Raises:
        DataError: a list is cut off, absent or another one.
    """
    name = path.stem
    for key, official in OFFICIAL.get(name, {}).items():
        names: tuple[str, ...] | None = fields.get(key)
        if names is not None and name_hash(names) == official.hash:
            continue
        count = 0 if names is None else len(set(names))
        if names is None:
            what = f"has no {key}; {name} has {official.count:,}"
        elif count == official.count:
            what = f"holds {count:,} {key}, but not those of {name}"
        else:
            what = f"holds {count:,} of {name}'s {official.count:,} {key}"
        raise DataError(
            f"scene filter {path}: {path.name} {what}; get the whole file ({where_to_get(name)}), or give the file "
            "another name if a split of its own is meant"
        )


def where_to_get(name: str) -> str:
    """Where the file of a filter is published, and how it is found here."""
    return (
        f"{DEVKIT_FILTERS[0]}/{name}.yaml of {DEVKIT}: set {DEVKIT_ROOT_VARIABLE} to a checkout, or data.splits to a "
        "folder that holds the file"
    )

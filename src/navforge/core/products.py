"""What an output folder holds, and the right to write into it: one process at a time, one kind of product."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from navforge.core.errors import ConfigError
from navforge.core.files import sole_use

CACHE, INPUTS, TEACHER, TOWN = "a metric cache", "an input store", "a teacher store", "a town"

MARKERS = {
    "cache.json": CACHE,
    "inputs.json": INPUTS,
    "header.json": TEACHER,
    "town.config.yaml": TOWN,
    "run.json": "a training run",
    "summary.json": "an evaluation",
}
"""Files by which a folder is recognised, and what it then holds."""


def product_of(folder: Path) -> str | None:
    """What a folder holds, in words; None if nothing known."""
    return next((product for marker, product in MARKERS.items() if (folder / marker).is_file()), None)


@contextmanager
def claim(out: Path, product: str) -> Iterator[None]:
    """Be the only process that writes to `out`, which holds `product`, finished or not, or nothing known.

    Args:
        out: folder to write; made if absent.
        product: one of `MARKERS`' values.

    Raises:
        ConfigError: the folder holds a product of another kind.
        DataError: another process works in it.
    """
    with sole_use(out):
        present = product_of(out)
        if present not in (None, product):
            raise ConfigError(f"out: {out} holds {present}, so {product} is not written there; give another out=")
        yield


def require_none_lost(out: Path, holds: str, scenes: int, lost: int, split: str) -> None:
    """Refuse to replace a product by one that lacks scenes it holds.

    Args:
        out: the folder.
        holds: what is in it, in words.
        scenes: number of scenes in it.
        lost: how many of them are not in the split to write.
        split: name of that split.

    Raises:
        ConfigError: any would be lost.
    """
    if lost:
        raise ConfigError(
            f"out: {out} holds {holds} with {scenes} scenes, {lost} of which are not in split {split} and would be "
            "lost; give another out= or delete the folder"
        )

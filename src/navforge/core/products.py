"""What an output folder holds, and the right to write into it: one process at a time, one kind of product."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import ConfigError
from navforge.core.files import sole_use


@dataclass(frozen=True)
class Product:
    """A kind of output folder."""

    name: str
    """In words, with the article."""
    manifest: str
    """File that is written last: its presence means that the product is complete."""
    doing: str = "working"
    """What is done to its scenes, in words."""
    done: str = "done"

    def __str__(self) -> str:
        return self.name


CACHE = Product("a metric cache", "cache.json", "caching", "cached")
INPUTS = Product("an input store", "inputs.json", "packing", "packed")
FEATURES = Product("a feature store", "features.json", "encoding", "encoded")
TEACHER = Product("a teacher store", "header.json", "scoring", "scored")
TOWN = Product("a town", "town.json", "generating", "generated")
RUN = Product("a training run", "run.json")
EVALUATION = Product("an evaluation", "summary.json")

MARKERS = {product.manifest: product for product in (CACHE, INPUTS, FEATURES, TEACHER, TOWN, RUN, EVALUATION)} | {
    "town.config.yaml": TOWN
}
"""Files by which a folder is recognised, and what it then holds."""


def product_of(folder: Path) -> Product | None:
    """What a folder holds; None if nothing known."""
    return next((product for marker, product in MARKERS.items() if (folder / marker).is_file()), None)


@contextmanager
def claim(out: Path, product: Product) -> Iterator[None]:
    """Be the only process that writes to `out`, which holds `product`, finished or not, or nothing known.

    Args:
        out: folder to write; made if absent.
        product: what is written.

    Raises:
        ConfigError: the folder holds a product of another kind.
        DataError: another process works in it.
    """
    with sole_use(out):
        present = product_of(out)
        if present not in (None, product):
            raise ConfigError(f"out: {out} holds {present}, so {product} is not written there; give another out=")
        yield


def require_none_lost(
    out: Path,
    holds: str,
    held: Iterable[str],
    requested: Collection[str],
    split: str,
    otherwise: str = "delete the folder",
) -> None:
    """Refuse to replace a product by one that lacks scenes it holds.

    Args:
        out: the folder.
        holds: what is in it, in words.
        held: scenes in it.
        requested: scenes to write.
        split: name of their split.
        otherwise: what to do but for giving another `out=`.

    Raises:
        ConfigError: scenes would be lost.
    """
    scenes = set(held)
    if lost := scenes.difference(requested):
        raise ConfigError(
            f"out: {out} holds {holds} with {len(scenes)} scenes, {len(lost)} of which are not in split {split} and "
            f"would be lost; give another out= or {otherwise}"
        )

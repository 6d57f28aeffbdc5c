"""Keys of `navforge compare`; words that are no key name planners: `ijepa=[FOLDER,FOLDER]`, or a bare `FOLDER`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.evaluation.folder import SCORES
from navforge.scoring.protocols import parse_protocols

NAMES = True
"""`NAME=FOLDER` names a planner."""
MARKDOWN, LATEX, NUMBERS, PARQUET = (f"comparison.{end}" for end in ("md", "tex", "csv", "parquet"))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge compare`."""

    planners: tuple[str, ...] = key(
        help="NAME=[FOLDER,...]: evaluations (folders or score tables), one per seed; as words of their own too"
    )
    against: str | None = key(
        None, "planner that each other one is compared with; all: every pair; first: the first", none="first"
    )
    protocol: str | None = key(
        None, "protocols to compare under, separated by commas; shared: those that all tables hold", none="shared"
    )
    floors: tuple[str, ...] = key(
        (), 'NAME=FOLDER, "NAME=[FOLDER,...]": what scores are read against; listed below a rule, in no comparison'
    )
    published: str | None = key(
        None,
        "numbers of papers below the table, of the same protocol and scenes only: true, or [METHOD,...]",
        none="false",
    )
    out: Path | None = key(
        None, f"folder for {MARKDOWN}, {LATEX} (booktabs), {NUMBERS} and {PARQUET}; none: print only", none="none"
    )

    def __post_init__(self) -> None:
        """Raise ConfigError for fewer than two planners, a name twice, unknown protocols or published methods."""
        if self.protocol is not None:
            parse_protocols(self.protocol)
        if len(self.evaluations) < 2:
            raise ConfigError("planners: two or more are needed: navforge compare a=[FOLDER,FOLDER] b=[FOLDER,FOLDER]")
        if self.against not in (None, "all", *self.evaluations):
            raise ConfigError(f"against: expected all or one of {', '.join(self.evaluations)}, got {self.against!r}")
        _named("floors", self.floors, taken=self.evaluations)
        _ = self.methods

    @property
    def evaluations(self) -> dict[str, tuple[Path, ...]]:
        """Score tables of each planner, in the order given."""
        return _named("planners", self.planners)

    @property
    def floor_evaluations(self) -> dict[str, tuple[Path, ...]]:
        """Score tables of each floor, in the order given."""
        return _named("floors", self.floors)

    @property
    def methods(self) -> tuple[str, ...] | None:
        """Published methods asked for; None: all that fit."""
        if self.published is None:
            return ()
        return None if self.published == "true" else _texts("published", self.published, "METHOD")


def configure(words: Sequence[str]) -> Config:
    """The config, planners gathered from the words that are no keys.

    A bare FOLDER is a planner with one run, called as its path is written.
    """
    known = {leaf.name for leaf in configs.leaves(Config)}
    keys = [word for word in words if word.partition("=")[0] in known and "=" in word]
    planners = [word if "=" in word else f"{word}={word}" for word in words if word not in keys]
    if not planners:
        return configs.merge(Config, keys)
    if any(word.startswith("planners=") for word in keys):
        raise ConfigError(f"planners: give all planners in one way; {planners[0]!r} is beside planners=")
    return configs.merge(Config, [*keys, f"planners={json.dumps(planners)}"])


def _named(key_name: str, words: Sequence[str], taken: Iterable[str] = ()) -> dict[str, tuple[Path, ...]]:
    """Score tables by name, from words `NAME=FOLDER` and `NAME=[FOLDER,...]`."""
    found: dict[str, tuple[Path, ...]] = {}
    for word in words:
        name, _, value = word.partition("=")
        if not name or name in found or name in taken:
            raise ConfigError(f"{key_name}: {word!r} has {'a name that was given before' if name else 'no name'}")
        found[name] = tuple(_table(name, Path(text).expanduser()) for text in _texts(name, value, "FOLDER"))
    return found


def _texts(name: str, value: str, what: str) -> tuple[str, ...]:
    """`FOLDER` or `[FOLDER,FOLDER]`."""
    listed: object = value
    if value.startswith("["):
        try:
            listed = yaml.load(value, Loader=yaml.BaseLoader)
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}: expected {what} or [{what},...], got {value!r}") from error
    given = listed if isinstance(listed, list) else [listed]
    texts = [text for text in given if isinstance(text, str) and text]
    if not texts or len(texts) < len(given):
        raise ConfigError(f"{name}: expected {what} or [{what},...], got {value!r}")
    return tuple(texts)


def _table(name: str, path: Path) -> Path:
    """The score table of an evaluation's folder, or the file itself."""
    table = path / SCORES if path.is_dir() else path
    if not table.exists():
        known = ", ".join(leaf.name for leaf in configs.leaves(Config))
        raise ConfigError(
            f"unknown key or evaluation: {name}={path} ({table} does not exist). A word that is no key names a "
            f"planner and its evaluations; keys: {known}"
        )
    return table

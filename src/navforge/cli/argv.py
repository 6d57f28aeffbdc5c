"""The words after a verb: `key=value`, `--key value`, `--key=value`, `--switch`, and values known by their place."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from navforge.cli import devkit_keys
from navforge.core.config import Leaf
from navforge.core.errors import ConfigError


def to_overrides(
    words: Sequence[str], leaves: Iterable[Leaf], positional: Sequence[str] = (), *, names: bool = False
) -> list[str]:
    """Every word as `key=value`; what is not understood here is left for `core.config.merge` to refuse.

    Args:
        words: what the user typed after the verb.
        leaves: the verb's keys; the type of a key says whether `--key` takes the next word (`true|false` does not).
        positional: keys that bare words give, in this order.
        names: `NAME=value` may name what the user likes (a planner called `hydra`), so that no key is the devkit's.

    Raises:
        ConfigError: a bare word too many, an unknown `--key`, a `--key` without its value, or a key of the devkit's
            scripts.
    """
    known = {leaf.name: leaf for leaf in leaves}
    places = list(positional)
    overrides: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, _, value = word.removeprefix("--").partition("=")
        if "=" in word and not names and (hint := devkit_keys.answer(name.replace("-", "_"), value, known)):
            raise ConfigError(hint)
        if word.startswith("--"):
            overrides.append(_flag(word, known, rest))
        elif "=" in word or not positional:
            overrides.append(word)
        elif places:
            overrides.append(f"{places.pop(0)}={word}")
        else:
            expected = " ".join(name.upper() for name in positional)
            raise ConfigError(f"unexpected word {word!r} after {expected}; other keys are given as key=value")
    return overrides


def plain(words: Sequence[str]) -> list[str]:
    """The words that give a key, read without knowing the keys: enough to find `agent=NAME` among them."""
    pairs = [
        f"{word[2:]}={value}" for word, value in itertools.pairwise(words)
        if word.startswith("--") and "=" not in word and not value.startswith("--")
    ]  # fmt: skip
    return [word.removeprefix("--") for word in words if "=" in word] + pairs


def usage(positional: Sequence[str]) -> str:
    """How the words after the verb look: `RUN key=value ...`."""
    return " ".join([*(name.upper() for name in positional), "key=value ..."])


def _flag(word: str, known: dict[str, Leaf], rest: list[str]) -> str:
    """`key=value` of a word that begins with `--`; takes its value off `rest` where it has one there."""
    name, equals, value = word[2:].partition("=")
    name = name.replace("-", "_")
    if equals:
        return f"{name}={value}"
    if name not in known:
        raise ConfigError(f"unknown key {word!r}. Valid keys: {', '.join(known)}")
    if known[name].type is bool:
        return f"{name}=true"
    if not rest or rest[0].startswith("--"):
        raise ConfigError(f"{word} needs a value: {word} {known[name].type_name.upper()}")
    return f"{name}={rest.pop(0)}"

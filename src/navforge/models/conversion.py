"""Published networks' state dicts to ours: strict, named, key by key.

A `Conversion` says for every parameter of our planner which published tensor it is. Nothing is guessed: a published
tensor that no parameter is made of, one that is missing, and one of another shape are errors that name it. The
conversions there are stand in `models.conversions.CONVERSIONS`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from navforge.core.errors import DataError

State = dict[str, Tensor]

SHOWN = 5
"""Keys an error names before it counts the rest."""
SIZES = "the planner's sizes are not those of the file"


@dataclass(frozen=True)
class Rule:
    r"""Where parameters of ours come from.

    Attributes:
        ours: regular expression that a whole key of our planner's state matches.
        published: the published key, its `\1` filled with groups of `ours`; several are joined along the first axis.
        rows: first row and end of the part that is meant, where a published tensor holds several of our parameters.
        reversed_axis: axis along which the published tensor runs the other way round, such as BGR for RGB.
    """

    ours: str
    published: str | tuple[str, ...]
    rows: tuple[int | None, int | None] = (None, None)
    reversed_axis: int | None = None


@dataclass(frozen=True)
class Source:
    """Published tensors that make one parameter of ours."""

    keys: tuple[str, ...]
    """Joined along the first axis."""
    rows: slice
    """Of each."""
    reversed_axis: int | None
    """Along which what is joined is turned round."""


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """One family of published networks.

    Attributes:
        name: network and code base, as a user would say it.
        marks: published keys, without prefix, that every checkpoint of the family has and no other family all has.
        rules: tried in order; the first that matches a key counts.
        unused: regular expressions of published keys that do nothing in the published network's forward pass.
        vocabulary: published key of the vocabulary (N, 40, 3), for networks that choose from one.
        any_vocabulary: the published code takes the vocabulary from another file, so that it may be exchanged.
    """

    name: str
    marks: tuple[str, ...]
    rules: tuple[Rule, ...]
    unused: tuple[str, ...] = ()
    vocabulary: str | None = None
    any_vocabulary: bool = False

    def source(self, ours: str) -> Source | None:
        """What a parameter of ours is made of; None if no rule knows it."""
        for rule in self.rules:
            matched = re.fullmatch(rule.ours, ours)
            if matched:
                templates = (rule.published,) if isinstance(rule.published, str) else rule.published
                return Source(
                    tuple(matched.expand(template) for template in templates), slice(*rule.rows), rule.reversed_axis
                )
        return None


@dataclass(frozen=True)
class Recognised:
    """A published state dict whose family is known."""

    conversion: Conversion
    prefix: str
    """What stands before every key, such as `agent._transfuser_model.`; empty or ending in a dot."""
    state: State
    """Keys without the prefix."""

    @property
    def vocabulary(self) -> Tensor | None:
        """(N, 40, 3) the vocabulary it holds."""
        return None if self.conversion.vocabulary is None else self.state.get(self.conversion.vocabulary)


def recognise(published: State, conversions: Sequence[Conversion]) -> Recognised:
    """Find the conversion whose marks are all there, under whatever prefix.

    Raises:
        DataError: none fits, or keys stand outside the prefix.
    """
    for conversion in conversions:
        first = conversion.marks[0]
        for key in published:
            prefix = key.removesuffix(first)
            if key.endswith(first) and (not prefix or prefix.endswith(".")):
                if any(prefix + mark not in published for mark in conversion.marks):
                    continue
                outside = [name for name in published if not name.startswith(prefix)]
                if outside:
                    raise DataError(f"{conversion.name}: keys outside the prefix {prefix!r}: {_named(outside)}")
                return Recognised(conversion, prefix, {name[len(prefix) :]: published[name] for name in published})
    raise DataError(
        f"no conversion knows these keys: {_named(published)}; known: "
        f"{', '.join(conversion.name for conversion in conversions)}"
    )


def convert(found: Recognised, wanted: State) -> State:
    """Our planner's state made of a published one.

    Args:
        found: from `recognise`.
        wanted: `state_dict()` of a planner of the target config; its keys and shapes count, and the values of what
            the published network does not hold are never taken from it.

    Raises:
        DataError: a key is missing, unexpected or of another shape, or the planner has parameters the published
            network has not; names the published keys with their prefix.
    """
    conversion, state, prefix = found.conversion, found.state, found.prefix
    sources = {ours: source for ours in wanted if (source := conversion.source(ours)) is not None}
    foreign = [ours for ours in wanted if ours not in sources]
    if foreign:
        raise DataError(f"the planner is not a {conversion.name}; it has parameters of its own: {_named(foreign)}")
    needed = dict.fromkeys(key for source in sources.values() for key in source.keys)
    missing = [prefix + key for key in needed if key not in state]
    if missing:
        raise DataError(f"{conversion.name}: missing keys: {_named(missing)}")
    unused = [re.compile(pattern) for pattern in conversion.unused]
    unexpected = [
        prefix + key for key in state if key not in needed and not any(pattern.fullmatch(key) for pattern in unused)
    ]
    if unexpected:
        raise DataError(f"{conversion.name}: unexpected keys: {_named(unexpected)}")
    return _made(found, sources, wanted)


def _made(found: Recognised, sources: dict[str, Source], wanted: State) -> State:
    state: State = {}
    rows_used: Counter[str] = Counter()
    for ours, source in sources.items():
        whole = [found.state[key] for key in source.keys]
        parts = [tensor[source.rows] if tensor.ndim else tensor for tensor in whole]
        value = parts[0] if len(parts) == 1 else torch.cat(parts)
        if value.shape != wanted[ours].shape:
            raise DataError(
                f"{found.conversion.name}: {', '.join(found.prefix + key for key in source.keys)} gives shape "
                f"{tuple(value.shape)}, {ours} takes {tuple(wanted[ours].shape)}; {SIZES}"
            )
        if source.reversed_axis is not None:
            value = value.flip(source.reversed_axis)
        state[ours] = value.to(wanted[ours].dtype).clone()
        rows_used.update({key: len(part) for key, part in zip(source.keys, parts, strict=True) if part.ndim})
    for key, rows in rows_used.items():
        if rows < len(found.state[key]):
            raise DataError(
                f"{found.conversion.name}: {found.prefix + key} has {len(found.state[key])} rows, the planner takes "
                f"{rows}; {SIZES}"
            )
    return state


def _named(keys: Iterable[str]) -> str:
    known = list(keys)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more

"""Frozen dataclass configs: declared with `key`, overridden strictly from `dotted.key=value` words.

A config is a frozen keyword-only dataclass whose fields are made with `key(...)`; fields may be configs themselves.
`merge` returns a new config of the same class; an unknown key, a wrong type or an impossible value raises
`ConfigError` naming the field, what was given and the valid choices. Cross-field rules live in `__post_init__`
and raise `ConfigError` too.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from navforge.core.errors import ConfigError
from navforge.core.outside.files import shown
from navforge.core.outside.text import parse_yaml

ConfigT = TypeVar("ConfigT")

SWITCH = {"auto": None, "on": True, "off": False}
"""Choices of a key that is on, off, or left to what else is given, with what they stand for."""
NULL = "null"
NULL_WORDS = (NULL, "None", "~")


def key(
    default: Any = MISSING,
    help: str = "",
    *,
    unit: str | None = None,
    choices: Iterable[Any] | None = None,
    low: float | None = None,
    high: float | None = None,
    none: str = NULL,
) -> Any:
    """Declare one configuration field.

    Args:
        default: value, a zero-argument factory for mutable defaults and nested configs, or nothing: then required.
        help: one sentence for `--help`.
        unit: physical unit of the value, if it has one.
        choices: the only values allowed.
        low: smallest value allowed (inclusive).
        high: largest value allowed (inclusive).
        none: the word that stands for None in an optional field, such as `auto`; its only spelling, also in files.
    """
    metadata = {
        "help": help,
        "unit": unit,
        "choices": None if choices is None else tuple(choices),
        "low": low,
        "high": high,
        "none": none,
    }
    if default is MISSING:
        return dataclasses.field(metadata=metadata)
    if callable(default) and not isinstance(default, str):
        return dataclasses.field(default_factory=typing.cast(Callable[[], Any], default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Leaf:
    """One settable key of a config: what `--help` prints and what `merge` checks."""

    name: str
    type: Any
    default: Any
    help: str
    unit: str | None
    choices: tuple[Any, ...] | None
    low: float | None
    high: float | None
    none: str
    """The word for None."""

    @property
    def required(self) -> bool:
        """Whether the user has to give this key."""
        return self.default is MISSING

    @property
    def type_name(self) -> str:
        """The type as a user would say it."""
        return _type_name(self.type, self.none)


def leaves(config: Any, prefix: str = "") -> Iterator[Leaf]:
    """Every settable key of a config class or instance, depth first in declaration order."""
    cls = config if isinstance(config, type) else type(config)
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        default = _default(field) if isinstance(config, type) else getattr(config, field.name)
        nested = default if dataclasses.is_dataclass(default) else hints[field.name]
        if dataclasses.is_dataclass(nested):
            yield from leaves(nested, f"{prefix}{field.name}.")
            continue
        meta = field.metadata
        yield Leaf(
            name=prefix + field.name,
            type=hints[field.name],
            default=default,
            help=meta.get("help", ""),
            unit=meta.get("unit"),
            choices=meta.get("choices"),
            low=meta.get("low"),
            high=meta.get("high"),
            none=meta.get("none", NULL),
        )


def merge(base: type[ConfigT] | ConfigT, overrides: Sequence[str]) -> ConfigT:
    """Apply `dotted.key=value` words to a config class (its defaults) or instance; return a new checked instance.

    Args:
        base: a config class, whose required keys must then be among the overrides, or an instance to vary.
        overrides: words such as `train.epochs=3`, `split=real`, `model.head=null`, `sizes=[1,2]`.

    Raises:
        ConfigError: unknown or repeated key, missing required key, wrong type, or impossible value.
    """
    known = {leaf.name: leaf for leaf in leaves(base)}
    given: dict[str, Any] = {}
    require_known(base, overrides)
    for word in overrides:
        name, _, text = word.partition("=")
        if name in given:
            raise ConfigError(f"{name} was given twice: {given[name]!r} and {text!r}; give it once")
        given[name] = _parse(known[name], text)
    missing = [leaf.name for leaf in known.values() if leaf.required and leaf.name not in given]
    if missing:
        named = ", ".join(f"{name}={known[name].type_name.upper()}" for name in missing)
        raise ConfigError(f"missing required key(s): {named}")
    return _build(base, given, "")


def require_known(base: Any, overrides: Sequence[str]) -> None:
    """Raise ConfigError for a word that is not `KEY=value` with a key of a config class or instance."""
    known = {leaf.name: leaf for leaf in leaves(base)}
    for word in overrides:
        name, equals, _ = word.partition("=")
        if not equals or not name:
            raise ConfigError(f"expected key=value, got {word!r}; keys: {', '.join(known)}")
        if name not in known:
            raise ConfigError(_unknown_key(name, known))


def to_dict(config: Any) -> dict[str, Any]:
    """Plain nested dict of a config instance: paths become strings, tuples lists; safe for YAML and JSON."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        word = field.metadata.get("none", NULL)
        plain[field.name] = word if value is None and word != NULL else plain_value(value)
    return plain


def differences(old: Any, new: Any, name: str) -> list[str]:
    """Dotted keys that differ between two values, below `name`, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        prefix = f"{name}." if name else ""
        return [d for k in {**old, **new} for d in differences(old.get(k), new.get(k), f"{prefix}{k}")]
    return [] if old == new else [f"{name} ({old} -> {new})"]


def from_dict(base: type[ConfigT] | ConfigT, values: dict[str, Any]) -> ConfigT:
    """Inverse of `to_dict` under the same strict rules as `merge`."""
    return merge(base, to_words(values, {leaf.name for leaf in leaves(base)}))


def to_words(values: Mapping[str, Any], known: Collection[str] = ()) -> list[str]:
    """Nested plain values as `dotted.key=value` words; a mapping under a name in `known` is a value."""
    return [f"{name}={_as_word(value)}" for name, value in _flatten(values, "", known)]


def to_yaml(config: Any) -> str:
    """The config as YAML text, keys in declaration order."""
    return yaml.safe_dump(to_dict(config), sort_keys=False)


def describe(config: Any) -> list[tuple[str, str, str, str]]:
    """Rows (key, type, default, meaning with unit and choices) for `--help`."""
    rows = []
    for leaf in leaves(config):
        default = leaf.none if leaf.default is None else _as_word(plain_value(leaf.default))
        default = "required" if leaf.required else default
        kind = "|".join(map(str, leaf.choices)) if leaf.choices else leaf.type_name
        if leaf.choices and leaf.type_name.startswith("list of "):
            kind = f"list of {kind}"
        meaning = leaf.help + (f" [{leaf.unit}]" if leaf.unit else "")
        rows.append((leaf.name, kind, default, meaning))
    return rows


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known name nearest to an unknown one, to follow it in an error: `; did you mean NAME?`, else a full stop."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else "."


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    return MISSING


def _build(base: Any, given: dict[str, Any], prefix: str) -> Any:
    cls = base if isinstance(base, type) else type(base)
    values: dict[str, Any] = {}
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        name = prefix + field.name
        current = _default(field) if isinstance(base, type) else getattr(base, field.name)
        nested = current if dataclasses.is_dataclass(current) else hints[field.name]
        if dataclasses.is_dataclass(nested):
            values[field.name] = _build(nested, given, f"{name}.")
        else:
            values[field.name] = given.get(name, current)
    return cls(**values)


def _parse(leaf: Leaf, text: str) -> Any:
    """The typed value of one override word, by the rules of YAML."""
    allowed, optional = _strip_optional(leaf.type)
    if text in (NULL_WORDS if leaf.none == NULL else (*NULL_WORDS, leaf.none)):
        if not optional or (leaf.none not in (NULL, text)):
            raise ConfigError(_bad_value(leaf, text))
        return None
    if not text.strip() and allowed in (Path, str):
        null = f"; {leaf.none} means none" if optional else ""
        raise ConfigError(f"{leaf.name}: expected a {leaf.type_name}, got {text!r} (is a shell variable unset?){null}")
    if allowed is Path:
        value: Any = Path(text).expanduser()
    elif allowed is str:
        value = text
    else:
        value = _convert(leaf, allowed, text)
    _check_range(leaf, value)
    return value


def _convert(leaf: Leaf, allowed: Any, text: str) -> Any:
    sequence = typing.get_origin(allowed)
    kind = typing.get_args(allowed)[0] if sequence else allowed
    try:
        # Text in a list is taken as written: no number is read into it.
        raw = yaml.load(text, Loader=yaml.BaseLoader) if kind in (str, Path) else parse_yaml(text)
        if sequence is None:
            return _typed(raw, kind)
        if not isinstance(raw, list):
            raise ValueError("not a list")
        return sequence(_typed(item, kind) for item in raw)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(_bad_value(leaf, text)) from error


def _typed(raw: Any, kind: Any) -> Any:
    """A YAML value as one of the kind; raises ValueError if it is of another."""
    match raw:
        case bool() if kind is bool:
            return raw
        case 0 | 1 if kind is bool and not isinstance(raw, float):
            return bool(raw)
        case "y" | "Y" | "n" | "N" if kind is bool:  # YAML 1.1 has them, PyYAML does not
            return raw in ("y", "Y")
        case int() if kind is int and not isinstance(raw, bool):
            return raw
        case int() | float() | str() if kind is float and not isinstance(raw, bool):
            return float(raw)  # YAML 1.1 reads "1e-4" as text
        case str() if kind in (str, Path):
            return kind(raw)
    raise ValueError(f"not a {kind.__name__}")


def _check_range(leaf: Leaf, value: Any) -> None:
    if leaf.choices is not None:
        outside = [v for v in (value if isinstance(value, tuple | list) else [value]) if v not in leaf.choices]
        if outside:
            raise ConfigError(_bad_value(leaf, outside[0]))
    numbers = [v for v in (value if isinstance(value, tuple | list) else [value]) if isinstance(v, int | float)]
    for number in numbers:
        if (leaf.low is not None and not number >= leaf.low) or (leaf.high is not None and not number <= leaf.high):
            raise ConfigError(_bad_value(leaf, number))


def _bad_value(leaf: Leaf, given: Any) -> str:
    if leaf.choices is not None:
        expected = "one of " + ", ".join(map(str, leaf.choices))
    else:
        expected = leaf.type_name
        if leaf.low is not None or leaf.high is not None:
            low = "-inf" if leaf.low is None else f"{leaf.low:g}"
            high = "inf" if leaf.high is None else f"{leaf.high:g}"
            expected += f" in [{low}, {high}]"
    unit = f" {leaf.unit}" if leaf.unit else ""
    return f"{leaf.name}: expected {expected}{unit}, got {shown(given, 200)}"


def _unknown_key(name: str, known: dict[str, Leaf]) -> str:
    hint = did_you_mean(name, known)
    group = [k for k in known if k.startswith(name + ".")]
    if group:
        hint = f"; {name} is a group, set one of its keys."
    return f"unknown key {name!r}{hint} Valid keys: {', '.join(group or known)}"


def _strip_optional(kind: Any) -> tuple[Any, bool]:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        members = [m for m in typing.get_args(kind) if m is not type(None)]
        if len(members) == 1:
            return members[0], True
    return kind, False


def _type_name(kind: Any, none: str = NULL) -> str:
    kind, optional = _strip_optional(kind)
    origin = typing.get_origin(kind)
    if origin in (list, tuple):
        name = f"list of {_type_name(typing.get_args(kind)[0])}"
    else:
        name = {str: "text", Path: "path", bool: "true|false", int: "int", float: "float"}.get(kind, str(kind))
    return f"{name} or {none}" if optional else name


def plain_value(value: Any) -> Any:
    """A value of a config as YAML and JSON have it: paths become strings, tuples lists, configs mappings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [plain_value(v) for v in value]
    if isinstance(value, dict):
        return {str(k): plain_value(v) for k, v in value.items()}
    return value


def _flatten(values: Mapping[str, Any], prefix: str, known: Collection[str]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and prefix + name not in known:
            yield from _flatten(value, f"{prefix}{name}.", known)
        else:
            yield prefix + name, value


def _as_word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_as_item(v) for v in value) + "]"
    return repr(value) if isinstance(value, float) else str(value)


def _as_item(value: Any) -> str:
    """A value inside a list; text that YAML would read as something else is quoted."""
    if isinstance(value, str) and (not value.isprintable() or set(value) & set(",[]{}:#&*!|>'\"%@` ") or not value):
        return json.dumps(value, ensure_ascii=False)
    return _as_word(value)

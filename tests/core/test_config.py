"""Strict configs: what is accepted, and what every refusal says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from navforge.core.config import describe, from_dict, key, merge, to_dict, to_yaml
from navforge.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    lr: float = key(1e-4, "learning rate", unit="1/step", low=0)
    sizes: tuple[int, ...] = key((1, 2), "layer sizes")


@dataclass(frozen=True, kw_only=True)
class Wide(Inner):
    dropout: float = key(0.5, "dropout", low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Config:
    split: str = key(help="which split")
    out: Path | None = key(None, "where")
    count: int = key(3, "how many", low=1, high=9)
    mode: str = key("auto", "mode", choices=("auto", "on"))
    flag: bool = key(False, "flag")
    inner: Inner = key(Inner, "nested")

    def __post_init__(self) -> None:
        if self.flag and self.mode == "on":
            raise ConfigError("flag: true does not go with mode=on; drop one")


def test_words_become_typed_values() -> None:
    config = merge(Config, ["split=a=b", "inner.lr=1e-3", "inner.sizes=[4,5]", "out=x/y", "flag=true", "count=9"])
    assert config == Config(split="a=b", out=Path("x/y"), count=9, flag=True, inner=Inner(lr=1e-3, sizes=(4, 5)))


def test_an_instance_can_be_varied_and_keeps_its_nested_class() -> None:
    base = Config(split="real", inner=Wide(dropout=0.1))
    config = merge(base, ["inner.dropout=0.2", "count=4"])
    assert config.inner == Wide(dropout=0.2) and config.count == 4 and config.split == "real"
    assert base.inner == Wide(dropout=0.1)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], ["missing required", "split=TEXT"]),
        (["split=x", "inne.lr=3"], ["unknown key 'inne.lr'", "did you mean inner.lr?", "mode"]),
        (["split=x", "inner=3"], ["inner is a group", "inner.lr, inner.sizes"]),
        (["split=x", "count=10"], ["count", "[1, 9]", "10"]),
        (["split=x", "count=2.5"], ["count", "int", "2.5"]),
        (["split=x", "count=true"], ["count", "int", "true"]),
        (["split=x", "count=null"], ["count", "int", "null"]),
        (["split=x", "mode=off"], ["mode", "one of auto, on", "off"]),
        (["split=x", "flag=maybe"], ["flag", "true|false", "maybe"]),
        (["split=x", "inner.lr=abc"], ["inner.lr", "float", "1/step", "abc"]),
        (["split=x", "inner.lr=-1"], ["inner.lr", "[0, inf]", "-1"]),
        (["split=x", "inner.lr=nan"], ["inner.lr", "nan"]),
        (["split=x", "inner.sizes=4"], ["inner.sizes", "list of int", "4"]),
        (["split=x", "inner.sizes=[a]"], ["inner.sizes", "list of int"]),
        (["split=x", "split=y"], ["split was given twice"]),
        (["split"], ["expected key=value", "'split'"]),
        (["split=x", "flag=true", "mode=on"], ["does not go with"]),
    ],
)
def test_refusals_name_field_value_and_choices(words: list[str], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        merge(Config, words)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        Config(split="x"),
        Config(split="x", out=Path("a b/c"), inner=Inner(lr=3e-9, sizes=())),
        Config(split="yes", flag=True),
    ],
)
def test_dict_round_trip(config: Config) -> None:
    assert from_dict(Config, to_dict(config)) == config
    assert "split:" in to_yaml(config)


def test_help_rows_carry_type_default_unit_and_meaning() -> None:
    rows = {row[0]: row for row in describe(Config)}
    assert rows["split"] == ("split", "text", "required", "which split")
    assert rows["inner.lr"] == ("inner.lr", "float", "0.0001", "learning rate [1/step]")
    assert rows["mode"][1] == "auto|on"
    assert rows["out"][1:3] == ("path or null", "null")


@dataclass(frozen=True, kw_only=True)
class Automatic:
    workers: int | None = key(None, "processes", low=0, none="auto")
    inner: Inner = key(Inner)


def test_none_may_have_a_word_of_its_own() -> None:
    assert merge(Automatic, []).workers is None
    assert merge(Automatic, ["workers=0"]).workers == 0
    assert merge(Automatic(workers=3), ["workers=auto"]).workers is None


def test_the_word_for_none_is_what_help_and_files_show() -> None:
    assert describe(Automatic)[0] == ("workers", "int or auto", "auto", "processes")
    assert to_dict(Automatic())["workers"] == "auto" and "workers: auto" in to_yaml(Automatic())
    for config in (Automatic(), Automatic(workers=4)):
        assert from_dict(Automatic, to_dict(config)) == config


@pytest.mark.parametrize("word", ["null", "automatic", "-1", "None", "2.5"])
def test_the_word_for_none_is_its_only_spelling(word: str) -> None:
    with pytest.raises(ConfigError, match=r"workers: expected int or auto in \[0, inf\]"):
        merge(Automatic, [f"workers={word}"])


def test_a_word_for_none_does_not_leak_into_other_keys() -> None:
    with pytest.raises(ConfigError, match="count: expected int"):
        merge(Config, ["split=x", "count=auto"])


@dataclass(frozen=True, kw_only=True)
class Kinds:
    whole: int = key(1)
    number: float = key(1.0)
    truth: bool = key(False)
    wholes: tuple[int, ...] = key(())
    numbers: tuple[float, ...] = key(())
    paths: tuple[Path, ...] = key(())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("whole", "-3", -3),
        ("whole", "1_000", 1000),
        ("number", "2", 2.0),
        ("number", "1e-4", 1e-4),
        ("number", "inf", float("inf")),
        *[("truth", text, True) for text in ("true", "True", "yes", "on", "1", "y")],
        *[("truth", text, False) for text in ("false", "FALSE", "no", "off", "0", "n")],
        ("wholes", "[]", ()),
        ("wholes", "[1,2]", (1, 2)),
        ("numbers", "[1,2.5,1e-4]", (1.0, 2.5, 1e-4)),
        ("paths", "[a/b,1]", (Path("a/b"), Path("1"))),
    ],
)
def test_words_are_read_by_the_rules_of_yaml(name: str, text: str, value: object) -> None:
    read = getattr(merge(Kinds, [f"{name}={text}"]), name)
    assert read == value and type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "expected", "texts"),
    [
        ("whole", "int", ["1.0", "true", "'1'", "[1]", "", "${a}", "???", "{a: 1}", "1:x: ["]),
        ("number", "float", ["true", "[1.0]", "abc", "", "{a: 1}", "2001-01-01"]),
        ("truth", "true|false", ["2", "1.0", "maybe", "[true]", "", "???", "'true'"]),
        ("wholes", "list of int", ["1", "[1.5]", "[true]", "[null]", "[[1]]", "{1: 2}", "???", "[1,", "['1']"]),
        ("numbers", "list of float", ["1", "[a]", "[true]", "[null]", "[[1.0]]", "{1: 2}", "???", "[{a: 1}]"]),
        ("paths", "list of path", ["a", "[[a]]", "{a: b}", "???"]),
    ],
)
def test_what_is_of_another_kind_is_refused_in_the_same_words(name: str, expected: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ConfigError) as caught:
            merge(Kinds, [f"{name}={text}"])
        assert str(caught.value) == f"{name}: expected {expected}, got {text!r}"


@dataclass(frozen=True, kw_only=True)
class Lines:
    lines: tuple[str, ...] = key((), "shell lines")


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("plain",),
        ("a, b", "c: d # e", ""),
        ("export A=${B:-'x'}", 'echo "hi" [1] {2} *&!|>%@`'),
        ("12", "007", "true", "null", "1e3"),
        ("two\nlines\t", "ünicode \\"),
        ("- dash", "? q", "~"),
    ],
)
def test_lists_of_text_are_taken_as_written(lines: tuple[str, ...]) -> None:
    config = Lines(lines=lines)
    assert from_dict(Lines, yaml.safe_load(to_yaml(config))) == config


@pytest.mark.parametrize("word", ["lines=text", "lines={a: b}", "lines=[[a]]", "lines=[a"])
def test_what_is_no_list_of_text_is_refused(word: str) -> None:
    with pytest.raises(ConfigError, match="lines: expected list of text"):
        merge(Lines, [word])


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Keys as verbs have them."""

    out: Path = key(help="a folder")
    split: str = key(help="a name")
    checkpoint: Path | None = key(None, "a file")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("out=", r"out: expected a path, got '' \(is a shell variable unset\?\)$"),
        ("out= ", r"out: expected a path, got ' ' \(is a shell variable unset\?\)$"),
        ("split=", r"split: expected a text, got '' \(is a shell variable unset\?\)$"),
        ("checkpoint=", r"checkpoint: expected a .*got '' \(is a shell variable unset\?\); null means none$"),
    ],
)
def test_an_empty_word_is_an_unset_shell_variable(word: str, message: str) -> None:
    words = {"out": "out=a", "split": "split=b", word.split("=", maxsplit=1)[0]: word}
    with pytest.raises(ConfigError, match=message):
        merge(Paths, list(words.values()))
    assert merge(Paths, ["out=a", "split=b", "checkpoint=null"]).checkpoint is None

"""Text of strangers is text: neither markup nor control sequences of it take effect."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

import navforge
from navforge.core.screen import Screen, printable, say

HOSTILE = ("[/data/x.jpg]", "[cuda:0] [/bold]", "[bold red]x[/]", ":warning:")
SOURCES = sorted(Path(navforge.__file__).parent.rglob("*.py"))


def shown(*items: object, terminal: bool = False) -> str:
    file = io.StringIO()
    console = Screen(file=file, width=100, force_terminal=terminal)
    for item in items:
        console.print(item)
    return file.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_in_data_is_printed_as_it_is(text: str) -> None:
    table = Table("name")
    table.add_row(text)
    assert text in shown(text) and text in shown(table) and text in shown(Text(text))


@pytest.mark.parametrize("bad", ["\x1b[31mred", "\x07bell", "back\x08", "\u202ereversed", "\x9b31m", "\udcff"])
def test_control_characters_are_escaped(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("name")
    table.add_row(bad)
    hidden = next(c for c in bad if not c.isprintable())
    say("log", bad)
    printed = capsys.readouterr().out
    assert hidden not in shown(table)  # a column may be too narrow for the escape
    for text in (printable(bad), printed, shown(bad), shown(Text(bad, style="red"))):
        assert hidden not in text
        assert ascii(hidden).strip("'") in text or hidden in "\x07\x08"  # rich drops the bell and the backspace itself


def test_text_and_layout_stay() -> None:
    text = "Straße 北\tcolumn\nline"
    assert printable(text) == text and printable("plain") == "plain"
    assert "\x1b[" in shown(Text("styled", style="bold"), terminal=True)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_everything_is_printed_through_the_screen(path: Path) -> None:
    """`say` and `Screen` are the only way to a terminal."""
    if path.name == "screen.py":
        return
    ways = ["print", "rich.print", "sys.stdout.write", "sys.stderr.write"]
    tree = ast.parse(path.read_text())
    if any(isinstance(node, ast.ImportFrom) and node.module == "rich.console" for node in ast.walk(tree)):
        ways.append("Console")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in ways, f"{path.name}:{node.lineno} prints by {name}: use navforge.core.screen"

"""What a person reads on a terminal: text is shown as it is, never taken for markup or for control sequences.

Names of logs, maps and tokens, and the texts of errors, come from files of strangers. A `[/data/x.jpg]` in them is not
markup of rich, and an escape character in them does not reach the terminal.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_LAYOUT = frozenset("\n\t")


def printable(text: str) -> str:
    r"""The text with control characters, and those that reorder text, written as escapes (`\x1b`)."""
    if text.isprintable():
        return text
    return "".join(c if c in _LAYOUT or unicodedata.category(c) not in _HIDDEN else _escape(c) for c in text)


_HIDDEN = frozenset(("Cc", "Cf", "Cs"))
"""Unicode categories: control, format (bidirectional overrides among them), surrogate."""


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def say(*texts: object, file: TextIO | None = None, flush: bool = False) -> None:
    """Print texts with blanks between them, by default to standard output; see `printable`."""
    print(*(printable(str(text)) for text in texts), file=file or sys.stdout, flush=flush)


class Screen(Console):
    """A rich console that prints strings literally; a style is given by `style=` or a `rich.text.Text`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of what is printed, in which control characters are escaped."""
        for segment in super().render(renderable, options):
            if segment.control is None and not segment.text.isprintable():
                segment = Segment(printable(segment.text), segment.style)  # noqa: PLW2901
            yield segment


def screen(*, stderr: bool = False, width: int = 160) -> Screen:
    """The terminal, or where the output goes elsewhere a console of a fixed width.

    Args:
        stderr: standard error in the place of standard output.
        width: characters in a line where there is no terminal.
    """
    file = sys.stderr if stderr else sys.stdout
    return Screen(file=file) if file.isatty() else Screen(file=file, width=width)

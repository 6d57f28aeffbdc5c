"""The commands of a shell script, as far as they can be told without running it.

Understood: `NAME=value` and `export NAME=value`, `$NAME`, `${NAME}` and `${NAME:-value}`, commands continued with a
backslash, several in a line. Not understood: anything the shell would have to compute; it stays as it is written.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_SAYING = ("echo", "printf", "logger", ":")
"""Commands whose words are only shown."""
_FUNCTION = r"(?:function\s+)?([\w-]+)\s*\(\)"


@dataclass(frozen=True)
class Command:
    """One simple command, variables put in."""

    line: int
    """Number of its first line, from 1."""
    words: tuple[str, ...]
    """What `bash -c` is given counts as words."""

    def __str__(self) -> str:
        return f"line {self.line}: {' '.join(self.words)}"


def commands(text: str) -> list[Command]:
    """The commands of a script in order, without those that only show words.

    A command that names a function defined in one line has the words of its definition too: `run python train.py`
    with `run() { srun "$@"; }` has the word `srun`.
    """
    known = variables(text)
    lines = [(number, _expand(line, known)) for number, line in _lines(text)]
    functions: dict[str, list[str]] = {}
    parsed = []
    for number, line in lines:
        if match := re.match(_FUNCTION, line):
            functions[match[1]] = [word for words in _simple(line[match.end() :]) for word in words]
            continue
        for words in _simple(line):
            if words[0] not in _SAYING:
                parsed.append(Command(number, (*functions.get(words[0], ()), *words)))
    return parsed


def words_of(line: str) -> list[str]:
    """Words of a line, quotes removed."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quote that ends on another line
        return line.split()


def _simple(line: str) -> list[list[str]]:
    """Words of each simple command of a line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that ends on another line
        words = line.split()
    pipeline: list[list[str]] = [[]]
    for word in words:
        last = pipeline[-1][-1] if pipeline[-1] else ""
        if word and not word.strip(";&|") and not last.endswith(">"):
            pipeline.append([])
        elif re.fullmatch(r"-\w*c", last) and " " in word:
            pipeline[-1] += words_of(word)
        else:
            pipeline[-1].append(word)
    return [words for words in pipeline if words]


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines with the numbers of their first ones, continued lines joined, comments left out."""
    lines: list[tuple[int, str]] = []
    continued = False
    for number, line in enumerate(text.splitlines(), 1):
        if not continued and (not line.strip() or line.lstrip().startswith("#")):
            continue
        whole = line.strip().removesuffix("\\").rstrip()
        if continued:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]} {whole}")
        else:
            lines.append((number, whole))
        continued = line.endswith("\\")
    return lines


def variables(text: str) -> dict[str, str]:
    """Variables that a script sets, exported or not."""
    values: dict[str, str] = {}
    for _, line in _lines(text):
        for name, value in re.findall(r"(?:^|\s|;)(?:export\s+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\s;]*)", line):
            if not re.search(r"\b(navforge|srun|python)\b", line.split(f"{name}=")[0]):
                values[name] = _expand(value.strip("\"'"), values)
    return values


def _expand(text: str, known: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.group(1) or match.group(3), match.group(2)
        return known.get(name, match.group(0) if default is None else default)

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)", value, text)

"""A table of words and numbers, shown alike in the terminal, in Markdown and in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from navforge.core.screen import Screen

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
    }
)


@dataclass(frozen=True)
class Group:
    """Rows below a rule, such as what the rows above are read against."""

    title: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """One table; its first `words` columns are words, the others numbers."""

    title: str
    note: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    below: tuple[Group, ...] = ()

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """All rows, the title of each group as a row of its own."""
        groups = (((f"{group.title}:", *[""] * (len(self.heads) - 1)), *group.rows) for group in self.below)
        return (*self.rows, *(row for group in groups for row in group))


def print_section(console: Screen, section: Section) -> None:
    """Title, note and table on the terminal."""
    console.print(Text(f"\n{section.title}", style="bold"))
    if section.note:
        console.print(Text(section.note, style="bright_black"))
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    for place, head in enumerate(section.heads):
        table.add_column(head, justify="left" if place < section.words else "right", overflow="fold")
    for row in section.lines:
        table.add_row(*map(Text, row))
    console.print(table)


def to_markdown(sections: Sequence[Section]) -> str:
    """The sections one below the other."""
    return "\n".join(_markdown(section) for section in sections)


def to_latex(sections: Sequence[Section]) -> str:
    """A `table` of package booktabs per section, the note in its caption."""
    head = "% \\usepackage{booktabs} in the preamble\n"
    return head + "\n".join(_latex(section) for section in sections)


def _markdown(section: Section) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(cell.replace("|", r"\|").split()) for cell in cells) + " |"

    rules = ["---" if place < section.words else "---:" for place in range(len(section.heads))]
    lines = [f"## {section.title}", "", section.note, "", line(section.heads), f"|{'|'.join(rules)}|"]
    return "\n".join([*lines, *map(line, section.lines), ""])


def _latex(section: Section) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join(cell.translate(_LATEX) for cell in cells) + r" \\"

    columns = "l" * section.words + "r" * (len(section.heads) - section.words)
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{section.title.translate(_LATEX)}. {section.note.translate(_LATEX)}}}",
            rf"  \begin{{tabular}}{{{columns}}}",
            r"    \toprule",
            f"    {line(section.heads)}",
            r"    \midrule",
            *(f"    {line(row)}" for row in section.rows),
            *(
                text
                for group in section.below
                for text in (
                    r"    \midrule",
                    rf"    \multicolumn{{{len(section.heads)}}}{{l}}{{\emph{{{group.title.translate(_LATEX)}}}}} \\",
                    *(f"    {line(row)}" for row in group.rows),
                )
            ),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )

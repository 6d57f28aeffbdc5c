"""Tables of text in Markdown and LaTeX."""

from __future__ import annotations

from navforge.reports.sections import Section, to_latex, to_markdown

SECTION = Section(
    "A_1 & B", "50 % of {x}", ("name", "word", "n"), (("a|b", "better", "1"), ("c\nd", "x", "2")), words=2
)


def test_markdown_keeps_its_columns() -> None:
    lines = to_markdown([SECTION]).splitlines()
    assert lines[0] == "## A_1 & B"
    assert lines[4:] == ["| name | word | n |", "|---|---|---:|", r"| a\|b | better | 1 |", "| c d | x | 2 |"]


def test_latex_is_booktabs_with_its_signs_escaped() -> None:
    text = to_latex([SECTION])
    assert r"\caption{A\_1 \& B. 50 \% of \{x\}}" in text
    assert r"\begin{tabular}{llr}" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    assert body.count("&") == 6 and r"\midrule" in body
    assert text.startswith("% \\usepackage{booktabs}")

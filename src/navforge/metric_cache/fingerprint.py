"""What a cached log depends on, so that one made from other inputs or by other code is not used."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import navforge
from navforge.core.files import fingerprint

FORMAT = 2
"""Number of the file layout; raise it when `log_file` changes what it stores."""

PACKAGES = ("geometry", "maps", "metric_cache", "data", "simulation", "scoring", "pdm_closed", "cache_builder")
"""Packages whose code decides what a cached scene holds."""


@cache
def code_fingerprint(packages: tuple[str, ...] = PACKAGES) -> str:
    """Hash of the code of some packages (`maps`) and modules (`data/logs`), by default what computes and stores scenes.

    Comments, docstrings and layout do not count.
    """
    root = Path(navforge.__file__).parent
    sources = [path for name in packages for path in _sources(root / name)]
    return fingerprint([[path.relative_to(root).as_posix(), _code(path.read_text("utf-8"))] for path in sources])


def _sources(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]


def _code(source: str) -> str:
    """A module's syntax tree as text, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

"""Which code decides the bytes of an artefact: modules, and all they import of this package, by their syntax trees.

Artefacts (metric caches, teacher stores, input stores) and compiled kernels carry these hashes, so that none outlives a
change of the code that made it. Nothing is imported to find out: import lines are read from the sources.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from navforge.core.files import fingerprint

SOURCE = Path(__file__).resolve().parents[2]
"""The folder that holds the package, here or in the snapshot of a run."""
PACKAGE = Path(__file__).resolve().parents[1].name

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<base>[\w.]+)[ \t]+import[ \t]+(?:\((?P<many>[^)]*)\)|(?P<few>[^\n]*))"
    r"|import[ \t]+(?P<plain>[^\n]*))",
    re.MULTILINE,
)
_TYPES_ONLY = re.compile(r"^if TYPE_CHECKING:\n(?:(?:[ \t][^\n]*)?\n)*", re.MULTILINE)


def code_fingerprint(*modules: str, alone: tuple[str, ...] = ()) -> str:
    """Hash of the code of some modules and of all they import; comments, docstrings and layout do not count.

    Args:
        *modules: dotted names, such as `navforge.cache_builder.build`.
        alone: modules that count without what they import.
    """
    return fingerprint(module_hashes(*modules, alone=alone))


@cache
def module_hashes(*modules: str, alone: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Hash of each module's code, by dotted name, over the import closure of `modules` (see `code_fingerprint`)."""
    return {name: _code_hash(name) for name in sorted({*import_closure(*modules), *alone})}


def changed_modules(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of modules whose code differs, that are new or that are gone, between two results of `module_hashes`."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def describe_changes(before: object, now: Mapping[str, str]) -> str:
    """Why an artefact is stale, in words: which modules have changed since it was made.

    Args:
        before: what the artefact recorded of `module_hashes`; None where it recorded nothing.
        now: the present ones.
    """
    if not isinstance(before, dict):
        return "the code that makes it has changed"
    names = changed_modules(before, now)
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return f"the code that makes it has changed since ({shown or 'its list of modules'})"


@cache
def sources_hash(file: str) -> str:
    """Hash of the bytes of a source file, of this package or not, and of all it imports of this package.

    Fast, since no syntax tree is made: for compiled kernels, which are loaded by every worker process.
    """
    try:
        source = Path(file).read_text("utf-8")
    except OSError:  # typed at a prompt: compiled code of it is not kept
        return ""
    digest = hashlib.sha256(source.encode())
    for name in import_closure(*_imported_names(source)):
        digest.update(name.encode() + b"\0" + _source(name).encode() + b"\0")
    return digest.hexdigest()


@cache
def import_closure(*modules: str) -> tuple[str, ...]:
    """Modules of this package that importing `modules` loads, at import or later in a function, by name.

    Imports for type checkers only do not count. The packages around a module count: their `__init__` runs too.
    """
    reached: set[str] = set()
    left = [name for module in modules for name in _with_parents(module)]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += [parent for other in _imports(name) for parent in _with_parents(other)]
    return tuple(sorted(reached))


@cache
def _imports(module: str) -> tuple[str, ...]:
    return _imported_names(_source(module))


def _imported_names(source: str) -> tuple[str, ...]:
    """Modules of this package that the import lines of a source name."""
    names: set[str] = set()
    for match in _IMPORT.finditer(_TYPES_ONLY.sub("", source)):
        listed = match["many"] or match["few"] or match["plain"] or ""
        words = [item.split("#")[0].split(" as ")[0].strip() for item in listed.replace("\n", ",").split(",")]
        words = [word for word in words if word]
        base = match["base"]
        names.update(words if base is None else {base, *(f"{base}.{word}" for word in words)})
    return tuple(sorted(name for name in names if name.split(".")[0] == PACKAGE and _path(name) is not None))


def _with_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _path(module: str) -> Path | None:
    """File of a module; None where there is none, as for a name that is no module."""
    path = SOURCE / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def _source(module: str) -> str:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module} in {SOURCE}", name=module)
    return path.read_text("utf-8")


@cache
def _code_hash(module: str) -> str:
    return fingerprint(code_text(_source(module)))


def code_text(source: str) -> str:
    """A module's syntax tree as text, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

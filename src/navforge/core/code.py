"""Which code decides the bytes of an artefact: modules, and all they import of their tree, by their syntax trees.

Artefacts (metric caches, teacher stores, input stores) and compiled kernels carry these hashes, so that none outlives a
change of the code that made it. The same is recorded of classes of other packages (`core.extensions`), whose modules
are another `Tree`. Nothing is imported to find out: import lines are read from the sources.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from navforge.core.files import fingerprint

SOURCE = Path(__file__).resolve().parents[2]
"""The folder that holds the package, here or in the snapshot of a run."""
PACKAGE = Path(__file__).resolve().parents[1].name
SNAPSHOT = "snapshot.json"
"""In `SOURCE` where that is the snapshot of a run: where it was taken from."""


@dataclass(frozen=True)
class Tree:
    """The modules whose files lie below a folder."""

    root: Path
    package: str | None
    """The only top-level package that counts; None: all but this one."""

    def path(self, module: str) -> Path | None:
        """File of a module; None where there is none, as for a name that is not a module."""
        top = module.partition(".")[0]
        if top != self.package if self.package is not None else top == PACKAGE:
            return None
        path = self.root / module.replace(".", "/")
        return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


OWN = Tree(SOURCE, PACKAGE)

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
def module_hashes(*modules: str, alone: tuple[str, ...] = (), tree: Tree = OWN) -> Mapping[str, str]:
    """Hash of each module's code, by dotted name, over the import closure of `modules` (see `code_fingerprint`)."""
    return {name: _code_hash(name, tree) for name in sorted({*import_closure(*modules, tree=tree), *alone})}


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
        digest.update(name.encode() + b"\0" + _source(name, OWN).encode() + b"\0")
    return digest.hexdigest()


@cache
def import_closure(*modules: str, tree: Tree = OWN) -> tuple[str, ...]:
    """Modules of a tree that importing `modules` loads, at import or later in a function, by name.

    Imports for type checkers only do not count. The packages around a module count: their `__init__` runs too.
    """
    reached: set[str] = set()
    left = [name for module in modules for name in _with_parents(module, tree)]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += [parent for other in _imports(name, tree) for parent in _with_parents(other, tree)]
    return tuple(sorted(reached))


@cache
def _imports(module: str, tree: Tree) -> tuple[str, ...]:
    path = tree.path(module)
    is_package = path is not None and path.name == "__init__.py"
    return _imported_names(_source(module, tree), module if is_package else module.rpartition(".")[0], tree)


def _imported_names(source: str, package: str = "", tree: Tree = OWN) -> tuple[str, ...]:
    """Modules of a tree that the import lines of a source name; `package` is where relative ones start."""
    names: set[str] = set()
    for match in _IMPORT.finditer(_TYPES_ONLY.sub("", source)):
        listed = match["many"] or match["few"] or match["plain"] or ""
        words = [item.split("#")[0].split(" as ")[0].strip() for item in listed.replace("\n", ",").split(",")]
        words = [word for word in words if word]
        base = match["base"]
        if base is not None and base.startswith("."):
            if len(base) - len(base.lstrip(".")) > len(package.split(".")) or not package:
                continue  # beyond the top: Python refuses it too
            base = importlib.util.resolve_name(base, package)
        names.update(words if base is None else {base, *(f"{base}.{word}" for word in words)})
    return tuple(sorted(name for name in names if tree.path(name) is not None))


def _with_parents(module: str, tree: Tree) -> list[str]:
    """A module and the packages around it; a folder without `__init__` has no code."""
    parts = module.split(".")
    parents = [".".join(parts[:count]) for count in range(1, len(parts))]
    return [*(name for name in parents if tree.path(name) is not None), module]


@cache
def _source(module: str, tree: Tree) -> str:
    path = tree.path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module} in {tree.root}", name=module)
    return path.read_text("utf-8")


@cache
def _code_hash(module: str, tree: Tree) -> str:
    return fingerprint(code_text(_source(module, tree)))


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

"""Classes of other packages: found by name, checked, and described so that results say what they were computed with.

A name is `package.module:Class`, importable from the current folder or the environment, or a name under which an
installed package registers a class as an entry point. Python code of strangers runs from here only.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import json
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import unquote, urlparse

from navforge.core import code
from navforge.core.code import Tree
from navforge.core.config import did_you_mean
from navforge.core.errors import ConfigError
from navforge.core.files import fingerprint

ClassT = TypeVar("ClassT")

MOST_BYTES = 1 << 28
"""Largest package that is copied into a run folder; data sets and weights do not belong into a package."""
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Group(Generic[ClassT]):
    """Classes of one purpose."""

    noun: str
    """What they are, for errors."""
    base: type[ClassT]
    own: Mapping[str, type[ClassT]]
    """Those of this package; their names cannot be taken by others."""
    entry_points: str
    """The group of entry points under which other packages register theirs."""

    def find(self, name: str) -> type[ClassT]:
        """The class of a name.

        Raises:
            ConfigError: no class has it, two packages register it, or the class cannot be used (see `load`).
        """
        if name in self.own:
            return self.own[name]
        if ":" in name:
            return load(name, self.base, self.noun)
        points = importlib.metadata.entry_points(group=self.entry_points)
        found = {point.value: point for point in sorted(points) if point.name == name}
        if len(found) > 1:
            owners = " and ".join(f"{value} of {_owner(point)}" for value, point in found.items())
            raise ConfigError(f"{self.noun}: two packages register {name!r}, {owners}; write the one that is meant")
        if found:
            return load(next(iter(found)), self.base, f"{self.noun} {name}")
        known = [*self.own, *sorted(points.names)]
        raise ConfigError(
            f"{self.noun}: unknown kind {name!r}{did_you_mean(name, known)} Known: {', '.join(known) or 'none'}; a "
            "class of your own is written package.module:Class"
        )


def _owner(point: importlib.metadata.EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def name_of(cls: type) -> str:
    """`package.module:Class`."""
    return f"{cls.__module__}:{cls.__qualname__}"


def is_own(cls: type) -> bool:
    """Whether a class is of this package."""
    return cls.__module__.split(".")[0] == code.PACKAGE


def load(name: str, base: type[ClassT], noun: str) -> type[ClassT]:
    """The class `package.module:Class`, checked to be a complete subclass of `base`.

    Raises:
        ConfigError: the module is not there or its import fails (with the traceback), it has no such class, or the
            class is not a subclass, or an incomplete one.
    """
    if not _PATH.fullmatch(name):
        raise ConfigError(f"{noun}: expected package.module:Class, got {name!r}")
    module_name, _, attribute = name.partition(":")
    folder = search_folder()
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the boundary to code of others
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent is not None and f"{module_name}.".startswith(f"{absent}."):
            raise ConfigError(
                f"{noun}: there is no module {absent} (of {name}), neither in {folder} nor in the environment; run in "
                f"the folder that holds {absent.split('.')[0]}, put that folder into PYTHONPATH, or install the package"
            ) from error
        trace = users_traceback(error, module_name) or f"{type(error).__name__}: {error}"
        raise ConfigError(f"{noun}: the import of {module_name} fails\n{trace}") from error
    place = getattr(module, "__file__", None) or "a folder without __init__.py"
    try:
        cls: Any = reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        types = {key: value for key, value in vars(module).items() if isinstance(value, type) and value is not base}
        classes = [key for key, value in types.items() if issubclass(value, base)]
        raise ConfigError(
            f"{noun}: {module_name} ({place}) has no class {attribute}{did_you_mean(attribute, classes)} "
            f"Subclasses of {base.__name__} there: {', '.join(classes) or 'none'}"
        ) from error
    if not isinstance(cls, type) or not issubclass(cls, base):
        raise ConfigError(f"{noun}: {name} ({place}) is not a subclass of {name_of(base).replace(':', '.')}")
    if lacking := sorted(getattr(cls, "__abstractmethods__", ())):
        raise ConfigError(f"{noun}: {name} ({place}) lacks what {base.__name__} asks for: {', '.join(lacking)}")
    if any(isinstance(value, dataclasses.Field) for value in vars(cls).values()):
        raise ConfigError(
            f"{noun}: {name} ({place}) has keys but is not a dataclass: put @dataclass(frozen=True) before it"
        )
    return cls


def search_folder() -> Path:
    """Where modules are looked for first: the snapshot that this process runs, or the current folder."""
    return code.SOURCE if (code.SOURCE / code.SNAPSHOT).is_file() else Path.cwd()


def users_traceback(error: BaseException, *modules: str) -> str:
    """The traceback of an error from the first line on that is in one of the modules' packages; empty if none is."""
    tops = {module.split(".")[0] for module in modules}
    start = error.__traceback__
    while start is not None and start.tb_frame.f_globals.get("__name__", "").split(".")[0] not in tops:
        start = start.tb_next
    if start is None and not isinstance(error, SyntaxError):  # which names its line itself
        return ""
    return "".join(traceback.format_exception(type(error), error, start, chain=False)).rstrip()


def describe(classes: Iterable[type]) -> dict[str, dict[str, Any]]:
    """What is recorded of classes of other packages, by `name_of`; this package's own are left out.

    `module` and its `file`, `distribution` and `version` where it is installed, `sources` (hash of the code of its
    module and of all that this imports from the same folder, by module; comments and docstrings do not count), and
    `hash` of them all.
    """
    found = {}
    for cls in dict.fromkeys(classes):
        if is_own(cls):
            continue
        sources, top = dict(_sources(cls)), cls.__module__.split(".")[0]
        installed = _distribution(top, _tree(cls).root)
        found[name_of(cls)] = {
            "module": cls.__module__,
            "file": _file(cls),
            "distribution": None if installed is None else installed.name,
            "version": getattr(sys.modules[top], "__version__", None) if installed is None else installed.version,
            "hash": fingerprint(sources),
            "sources": sources,
        }
    return found


def changes(classes: Iterable[type], recorded: Mapping[str, Any]) -> list[str]:
    """In words, which classes have other code than `describe` has recorded."""
    return [
        f"{name} ({', '.join(modules)})"
        for name, now in describe(classes).items()
        if (before := recorded.get(name)) and (modules := code.changed_modules(before["sources"], now["sources"]))
    ]


def files(classes: Iterable[type]) -> dict[str, Path]:
    """Files of the packages that classes are of and that these import from the same folder, by path below it.

    Raises:
        ConfigError: they are too large to be copied.
    """
    paths: dict[str, Path] = {}
    for cls in dict.fromkeys(classes):
        if is_own(cls):
            continue
        tree = _tree(cls)
        for module in _sources(cls):
            for path in _package_files(module, tree):
                paths[path.relative_to(tree.root).as_posix()] = path
    if (size := sum(path.stat().st_size for path in paths.values())) > MOST_BYTES:
        largest = max(paths.values(), key=lambda path: path.stat().st_size)
        raise ConfigError(
            f"the packages of {', '.join(map(name_of, classes))} have {size / 1e6:.0f} MB, more than the "
            f"{MOST_BYTES / 1e6:.0f} MB that a run folder takes a copy of; move data out of them, such as {largest}"
        )
    return paths


def _package_files(module: str, tree: Tree) -> Sequence[Path]:
    """All files of the outermost package around a module, or the module's own."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        folder = tree.root.joinpath(*parts[:count])
        if (folder / "__init__.py").is_file():
            inside = (path for path in folder.rglob("*") if path.is_file())
            return [
                path
                for path in inside
                if not any(part == "__pycache__" or part[0] == "." for part in path.relative_to(folder).parts)
            ]
    path = tree.path(module)
    return [] if path is None else [path]


def _sources(cls: type) -> Mapping[str, str]:
    tree = _tree(cls)
    return {} if tree.path(cls.__module__) is None else code.module_hashes(cls.__module__, tree=tree)


def _tree(cls: type) -> Tree:
    """The folder that a class's top-level package lies in; of an installed one, only that package counts."""
    file = Path(_file(cls) or "").absolute()
    parts = cls.__module__.split(".")
    root = file.parents[len(parts) if file.name == "__init__.py" else len(parts) - 1]
    return Tree(root, parts[0] if root in _site_folders() else None)


def _file(cls: type) -> str | None:
    """Of a class's module; None for one that is typed at a prompt."""
    return getattr(sys.modules.get(cls.__module__), "__file__", None)


def _site_folders() -> set[Path]:
    return {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")}


def _distribution(package: str, root: Path) -> importlib.metadata.Distribution | None:
    """The installed distribution that a top-level package in the folder `root` belongs to."""
    names = [package]
    if root in _site_folders():
        names += importlib.metadata.packages_distributions().get(package, [])
    for name in names:
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        direct = json.loads(distribution.read_text("direct_url.json") or "{}")  # of an editable installation
        url = direct.get("url", "")
        project = Path(unquote(urlparse(url).path)) if url.startswith("file:") else None
        folder = Path(str(distribution.locate_file(""))).absolute()
        if folder == root or (project and project in (root, *root.parents)):
            return distribution
    return None

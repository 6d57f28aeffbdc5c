"""The import arrows of the package point one way (docs/architecture.md holds the same order as a picture)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import navforge

ROOT = Path(navforge.__file__).parent

# A package may import packages of earlier lines, and its own modules. Packages on one line do not know each other.
LAYERS = [
    ["core"],
    ["geometry", "runs", "slurm", "statistics"],
    ["maps", "metric_cache"],
    ["data", "simulation"],
    ["scoring", "town"],
    ["pdm_closed"],
    ["cache_builder"],
    ["vocabulary"],
    ["teacher"],
    ["models"],
    ["inputs"],
    ["features"],
    ["training"],
    ["agents"],
    ["evaluation"],
    ["tuning", "studies"],
    ["launch"],
    ["preflight", "jobs"],
    ["cluster_plan", "record"],
    ["reports"],
    ["cli"],
]
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}


def imported_packages(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "navforge" and len(parts) > 1 and parts[1] in LEVEL:
                found.add(parts[1])
    return found


def test_every_cached_kernel_notices_changes_elsewhere() -> None:
    """numba's own disk cache looks at one file; `geometry.compiled.kernel` at all that the kernel is compiled from."""
    direct = [path.name for path in ROOT.rglob("*.py") if "numba import njit" in path.read_text()]
    assert direct == ["compiled.py"]


def test_timm_is_loaded_in_one_place() -> None:
    """`models.timm_alone` keeps W&B out of the processes that use it."""
    imports = re.compile(r"^\s*(import|from) timm\b", re.MULTILINE)
    direct = [path.name for path in ROOT.rglob("*.py") if imports.search(path.read_text())]
    assert direct == ["timm_alone.py"]


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    if len(parts) == 1:
        allowed = {"__main__.py": {"cli"}, "__init__.py": {"core"}}.get(path.name, set())
        packages = {file.relative_to(ROOT).parts[0] for file in imported_files(path, ROOT)}
        assert packages <= allowed, f"{path.name} stands beside the packages and may import none"
        return
    own = parts[0]
    for other in imported_packages(path) - {own}:
        assert LEVEL[other] < LEVEL[own], f"{own} may not import {other} (see LAYERS)"


def test_every_package_has_a_level() -> None:
    packages = {p.name for p in ROOT.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert packages == set(LEVEL)


def test_arrow_checker_sees_a_wrong_arrow(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text("from navforge import cli\nimport navforge.scoring.engine\n")
    assert imported_packages(wrong) == {"cli", "scoring"}


def imported_files(path: Path, root: Path) -> set[Path]:
    """Files of the package that a file imports, in functions too; imports for type checkers only do not count."""
    tree = ast.parse(path.read_text())
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    unseen = {id(inner) for block in blocks for statement in block.body for inner in ast.walk(statement)}
    names = []
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [(f"{node.module}.{alias.name}", node.module) for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [(alias.name,) for alias in node.names]
    files = set()
    for choices in names:
        candidates = [
            root.parent / file
            for name in choices
            if name.split(".")[0] == root.name
            for file in (name.replace(".", "/") + ".py", name.replace(".", "/") + "/__init__.py")
        ]
        files.update([file for file in candidates if file.is_file()][:1])
    return files - {path}


def circles(root: Path) -> set[frozenset[str]]:
    """Sets of files, as paths below `root`, each of which imports all others of its set, directly or not."""
    imports = {path: imported_files(path, root) for path in root.rglob("*.py")}

    def reached_from(start: Path) -> set[Path]:
        reached: set[Path] = set()
        left = list(imports[start])
        while left:
            if (path := left.pop()) not in reached:
                reached.add(path)
                left += imports[path]
        return reached

    reached = {path: reached_from(path) for path in imports}
    return {
        frozenset(str(other.relative_to(root)) for other in reached[path] if path in reached[other])
        for path in imports
        if path in reached[path]
    }


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(ROOT) == set()


def test_circles_are_seen(tmp_path: Path) -> None:
    root = tmp_path / "navforge"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "__init__.py").write_text("")
    (root / "a.py").write_text("from navforge import b\n")
    (root / "b.py").write_text("def f():\n    import navforge.inner.c\n")
    (root / "inner" / "c.py").write_text("from navforge.a import x\n")
    (root / "d.py").write_text("if TYPE_CHECKING:\n    from navforge.e import y\n")
    (root / "e.py").write_text("from navforge.d import z\n")
    assert circles(root) == {frozenset({"a.py", "b.py", "inner/c.py"})}

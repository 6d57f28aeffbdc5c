"""The import arrows of the package point one way (docs/architecture.md holds the same order as a picture)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import navforge

ROOT = Path(navforge.__file__).parent

# A package may import packages of earlier lines, and its own modules. Packages on one line do not know each other.
LAYERS = [
    ["core"],
    ["geometry", "runs", "slurm"],
    ["maps", "metric_cache"],
    ["data", "simulation"],
    ["scoring", "town"],
    ["pdm_closed"],
    ["cache_builder"],
    ["vocabulary"],
    ["teacher"],
    ["models"],
    ["inputs"],
    ["training"],
    ["agents"],
    ["evaluation"],
    ["tuning", "reports"],
    ["launch"],
    ["preflight", "jobs"],
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


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    if len(parts) == 1:
        allowed = {"__main__.py": {"cli"}, "__init__.py": {"core"}}.get(path.name, set())
        assert imported_packages(path) <= allowed, f"{path.name} stands beside the packages and may import none"
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

"""`import navforge` is light, and gives every name of the public API, whose documented examples run."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import navforge
from navforge.data.paths import DataConfig

DOCUMENT = Path(__file__).parents[1] / "docs" / "api.md"
HEAVY = ("torch", "numba", "scipy", "polars", "lightning_fabric", "shapely")


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = "import navforge, sys, json; navforge.__version__; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(HEAVY).isdisjoint(json.loads(done.stdout))


@pytest.mark.parametrize("name", navforge.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    assert name in dir(navforge)
    assert getattr(navforge, name) is not None
    assert f"`{name}`" in DOCUMENT.read_text()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'navforge' has no attribute 'scores'"):
        _ = navforge.scores  # type: ignore[attr-defined]


def test_modules_imported_lazily_and_for_type_checkers_are_the_same() -> None:
    source = Path(navforge.__file__).read_text()
    for_checkers = dict(
        (name.strip(), module)
        for module, names in re.findall(r"^    from navforge\.([\w.]+) import (.*)$", source, re.MULTILINE)
        for name in names.split(",")
    )
    assert for_checkers == navforge._MODULE_OF
    assert {*for_checkers, "__version__"} == set(navforge.__all__)
    for name, module in for_checkers.items():
        assert getattr(navforge, name) is getattr(importlib.import_module(f"navforge.{module}"), name)


def test_the_documented_examples_run(tiny_town: Path, tmp_path: Path) -> None:
    from navforge.cache_builder.pool import cache_split  # noqa: PLC0415 (imports what most tests do not need)

    data = DataConfig(
        logs=tiny_town / "navsim_logs", sensors=tiny_town / "sensor_blobs", maps=tiny_town / "maps", splits=None
    )
    assert not cache_split(navforge.load_split("test", data), data, tmp_path, workers=1).failures
    known: dict[str, object] = {"data": data, "cache_folder": tmp_path}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
        exec(block, known)
    assert known["result"].score.shape == (2, 3)  # type: ignore[attr-defined]
    evaluation = known["evaluation"]
    assert evaluation.table.frame.height == len(known["split"])  # type: ignore[attr-defined, arg-type]
    assert known["planner"].name == "ego_mlp"  # type: ignore[attr-defined]

"""Classes of other packages: found, refused by name, described by the code they run."""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import pytest

from navforge.core import extensions
from navforge.core.errors import ConfigError


class Base(ABC):
    @abstractmethod
    def plan(self) -> int: ...


SOURCE = """
from dataclasses import dataclass, field
from tests.core.test_extensions import Base
from . import near
from other_tool.deep import DEPTH
import json

class Good(Base):
    def plan(self):
        return near.VALUE + DEPTH

class Lacking(Base):
    pass

class Bare(Good):
    width: int = field(default=3)

class Else:
    pass

VALUE = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder with the packages `tool` and `other_tool`; the latter has no `__init__`."""
    files = {
        "tool/__init__.py": "",
        "tool/main.py": SOURCE,
        "tool/near.py": "VALUE = 1\n",
        "tool/apart.py": "VALUE = 2\n",
        "tool/table.csv": "1,2\n",
        "tool/.git/config": "",
        "other_tool/deep.py": "DEPTH = 1\n",
        "other_tool/unused.py": "",
        "fails.py": "def work():\n    return 1 / 0\n\nwork()\n",
        "torn.py": "def work(:\n",
        "needy.py": "import not_installed_anywhere\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [name for name in sys.modules if name.split(".")[0] in ("tool", "other_tool")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def load(name: str) -> type:
    return extensions.load(name, Base, "agent")  # type: ignore[type-abstract]


def test_a_class_in_the_current_folder_is_found_and_described(folder: Path) -> None:
    cls = load("tool.main:Good")
    assert cls().plan() == 2
    facts = extensions.describe([cls, ConfigError])
    assert set(facts) == {"tool.main:Good"}
    assert set(facts["tool.main:Good"]["sources"]) == {"tool", "tool.main", "tool.near", "other_tool.deep"}
    assert facts["tool.main:Good"]["file"] == str(folder / "tool" / "main.py")
    assert extensions.changes([cls], facts) == []
    facts["tool.main:Good"]["sources"]["other_tool.deep"] = "0"
    assert extensions.changes([cls], facts) == ["tool.main:Good (other_tool.deep)"]


def test_files_are_those_of_the_package_and_of_what_it_imports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = load("tool.main:Good")
    own = {"tool/__init__.py", "tool/main.py", "tool/near.py", "tool/apart.py", "tool/table.csv"}
    assert {name for name in extensions.files([cls]) if "__pycache__" not in name} == {*own, "other_tool/deep.py"}
    assert not any("__pycache__" in name for name in extensions.files([cls]))
    monkeypatch.setattr(extensions, "MOST_BYTES", 100)
    with pytest.raises(ConfigError, match=r"tool\.main:Good have .* move data out of them, such as .*main\.py"):
        extensions.files([cls])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tool.main.Good", r"expected package\.module:Class, got 'tool\.main\.Good'"),
        ("tool.main:Goood", r"main\.py\) has no class Goood; did you mean Good\? Subclasses of Base there: Good, L"),
        ("tool.main:Lacking", r"Lacking .* lacks what Base asks for: plan"),
        ("tool.main:Else", r"Else .* is not a subclass of tests\.core\.test_extensions\.Base"),
        ("tool.main:VALUE", r"VALUE .* is not a subclass"),
        ("tool.main:Bare", r"has keys but is not a dataclass: put @dataclass"),
        ("tool.nowhere:Good", r"there is no module tool\.nowhere \(of tool\.nowhere:Good\), neither in /.*PYTHONPATH"),
        ("fails:Good", r"the import of fails fails\nTraceback.*fails\.py\", line 2, in work.*ZeroDivisionError"),
        ("torn:Good", r"the import of torn fails\n.*torn\.py\", line 1.*SyntaxError"),
        ("needy:Good", r"the import of needy fails\n.*needy\.py\", line 1.*No module named 'not_installed_anywhere'"),
    ],
)
def test_what_cannot_be_used_is_named(folder: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(name)
    assert re.search(rf"(?s)^agent: .*{message}", str(raised.value)), raised.value
    assert "core/extensions.py" not in str(raised.value), "the traceback is that of the user's code"

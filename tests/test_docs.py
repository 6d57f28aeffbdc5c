"""What the documents name exists: links, files, verbs, keys of commands shown. No configuration field is unread."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import navforge
from navforge.cli.main import VERBS
from navforge.core import config as configs
from navforge.models.heads import weights

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "navforge"
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_named_files_exist(document: Path) -> None:
    text = document.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:src|tests|docs|benchmarks)/[\w./-]+)`", text)
    for target in [document.parent / link for link in links] + [
        ROOT / name for name in named if not {"NAME", "VERB"} & set(re.findall(r"[A-Z]+", name))
    ]:
        assert target.exists(), f"{document.name} names {target.relative_to(ROOT)}, which does not exist"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_shown_use_real_verbs_and_keys(document: Path) -> None:
    for line in re.findall(r"(?:^    |`)navforge ([a-z][^`\n]*)", document.read_text(), re.MULTILINE):
        words = line.split("#")[0].split()
        verb = " ".join(words[:2]) if " ".join(words[:2]) in VERBS else words[0]
        assert verb in VERBS, f"{document.name}: navforge {line}"
        given = [word for word in words if re.fullmatch(r"[\w.]+=.*", word)]
        module = importlib.import_module(f"navforge.cli.keys.{re.sub('[ -]', '_', verb)}")
        agent = [word for word in given if word.startswith("agent=") and not word.endswith(".yaml")]
        template = module.template(agent) if hasattr(module, "template") else module.Config
        known = {leaf.name for leaf in configs.leaves(template)}
        given += [word[2:].replace("-", "_") for word in words if word.startswith("--") and word != "--help"]
        for word in given:
            assert word.split("=")[0] in known, f"{document.name}: navforge {verb} has no key {word}"


def config_classes() -> list[type]:
    found = {}
    for module in pkgutil.walk_packages(navforge.__path__, "navforge."):
        if module.name == "navforge.__main__":
            continue
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if dataclasses.is_dataclass(member) and any(
                "help" in field.metadata for field in dataclasses.fields(member)
            ):
                found[member] = None
    return list(found)


@pytest.mark.parametrize("config", config_classes(), ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_every_configuration_field_is_read_and_explained(config: type) -> None:
    for field in dataclasses.fields(config):
        if not field.init or (config.__module__ == weights.__name__ and field.name in weights.TAUGHT_COLUMNS):
            continue  # weights of sub-scores are read by the metric's name
        assert "help" in field.metadata, f"{config.__name__}.{field.name} is not declared with key()"
        assert re.search(rf"\.{field.name}\b", TEXT), f"nothing reads {config.__name__}.{field.name}"

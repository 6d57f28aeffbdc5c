"""Agents, encoders and heads of other packages, through every verb: the examples of docs/how-to-add.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch

from navforge import agents
from navforge.cli.main import main
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import file_fingerprint
from navforge.evaluation.further_metrics import load_metrics
from navforge.models import encoders, heads
from navforge.models.checkpoints import KEY, read_checkpoint, read_values, write_values
from navforge.models.loading import load_planner
from navforge.models.planner_config import PlannerConfig, planner_from_dict, planner_to_dict
from navforge.training.recipes.catalog import recipe
from tests.conftest import town_data

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to-add.md"
FILE = re.compile(r"`([\w/]+\.(?:py|yaml|toml))`[^\n`]*\n\n```\w+\n(.*?)```", re.DOTALL)
GLANCE, WAYPOINTS = "my_planner.parts:GlanceConfig", "my_planner.parts:WaypointsConfig"

pytestmark = pytest.mark.xdist_group("tiny_town")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files of the document; what is imported from it is forgotten afterwards."""
    for name, text in FILE.findall(DOCUMENT.read_text()):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "my_planner" / "__init__.py").write_text('__version__ = "0.3"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.split(".")[0] in ("my_planner", "my_agent", "my_metrics")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def words(town: Path, cache: Path, **keys: object) -> list[str]:
    data = town_data(town)
    places = {"data.logs": data.logs, "data.sensors": data.sensors, "data.maps": data.maps, "cache": cache}
    return [f"{name}={value}" for name, value in {**places, **keys}.items()]


@pytest.mark.slow
@pytest.mark.usefixtures("patient_preflight")
def test_a_planner_of_another_package_goes_through_every_verb(
    project: Path, tiny_town: Path, town_files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = project / "runs" / "glance"
    common = words(tiny_town, town_files["cache"], agent="glance.yaml", split="train")
    trained = [*common, f"out={run}", "train.accelerator=cpu", "train.smoke_scenes=1"]
    assert main(["preflight", *trained, "json=report.json"]) == 0, capsys.readouterr()
    findings = json.loads((project / "report.json").read_text())["findings"]
    tried = [finding["message"] for finding in findings if finding["check"] == "planner"]
    assert any(re.search(r"panorama \(\d+, 3, 32, 96\).*features, plans and losses are finite", text) for text in tried)
    assert main(["pack", *(word for word in common if not word.startswith("cache=")), "out=store", "workers=1"]) == 0
    packed = json.loads((project / "store" / "pack.provenance.json").read_text())["extensions"]
    assert set(packed) == {GLANCE, WAYPOINTS}
    assert main(["train", *trained, f"store={project / 'store'}", "preflight=false"]) == 0, capsys.readouterr()

    best = run / "checkpoints" / "best.ckpt"
    held = read_checkpoint(best)
    assert held.planner["name"] == "glance" and held.planner["encoder"]["kind"] == GLANCE
    facts = held.facts["provenance"]["extensions"][GLANCE]
    assert (facts["module"], facts["version"]) == ("my_planner.parts", "0.3")
    assert facts["file"] == str(run / "code" / "my_planner" / "parts.py"), "ranks run the copy"
    assert set(facts["sources"]) == {"my_planner", "my_planner.parts", "my_planner.layers"}
    assert packed[GLANCE]["hash"] == facts["hash"]
    assert json.loads((run / "run.json").read_text())["agent"] == "glance"

    capsys.readouterr()
    chosen = [f"checkpoint={best}", f"out={project / 'result'}", "device=cpu", "workers=1"]
    evaluated = words(tiny_town, town_files["cache"], agent="glance", split="train")
    assert main(["evaluate", *evaluated, *chosen]) == 0
    printed = capsys.readouterr()
    assert "glance" in printed.out and "warning" not in printed.err
    summary = json.loads((project / "result" / "summary.json").read_text())
    assert summary["agent"] == "glance" and set(summary["provenance"]["extensions"]) == {GLANCE, WAYPOINTS}

    (project / "my_planner" / "layers.py").write_text("raise RuntimeError('later edits do not reach the run')\n")
    where = f"from navforge.core.extensions import load; print(load('{GLANCE}', object, 'encoder').__module__)"
    environ = {**os.environ, "PYTHONPATH": str(run / "code")}
    done = subprocess.run([sys.executable, "-c", where], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "my_planner.parts\n"


def test_an_agent_of_another_package_is_evaluated(
    project: Path, tiny_town: Path, town_files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated = [*words(tiny_town, town_files["cache"], split="train"), "out=braking", "workers=1"]
    assert main(["evaluate", "agent=my_agent:Braking", "metrics=[my_metrics:TopSpeed]", *evaluated]) == 0
    printed = capsys.readouterr().out
    assert "braking: epdms_v2" in printed and re.search(r"top_speed_mps +\S? *\d+\.\d{4}", printed)
    summary = json.loads((project / "braking" / "summary.json").read_text())
    measured = pl.read_parquet(project / "braking" / "metrics.parquet")
    assert measured.height == len(pl.read_parquet(project / "braking" / "scores.parquet")) > 0
    assert summary["metrics"]["top_speed_mps"]["mean"] == pytest.approx(measured["top_speed_mps"].mean())
    assert set(summary["provenance"]["extensions"]) == {"my_agent:Braking", "my_metrics:TopSpeed"}
    facts = summary["provenance"]["extensions"]["my_agent:Braking"]
    assert facts["file"] == str(project / "my_agent.py") and facts["sources"].keys() == {"my_agent"}

    source = (project / "my_agent.py").read_text()
    (project / "late.py").write_text(source.replace("row[:, 0] =", "row[:, 0] = 1 / 0 if speed_mps else"))
    (project / "short.py").write_text(source.replace("np.arange(1, 9)", "np.arange(1, 8)").replace("8, 3", "7, 3"))
    (project / "holes.py").write_text(source.replace("return poses, 0.5", "return poses * np.nan, 0.5"))
    (project / "bare.py").write_text(source.replace("return poses, 0.5", "return poses"))
    for name, message in {
        "late": r"(?s)ZeroDivisionError: division by zero\n.*late\.py\", line \d+, in plan\n.*1 / 0 if",
        "short": r"7 poses of 0\.5 s reach 3\.5 s; at least 4 s \(8 poses\) are needed",
        "holes": "the agent returned NaN or infinity",
        "bare": r"the agent returned a ndarray of shape \(\d+, 8, 3\), expected a pair",
    }.items():
        changed = [f"out={name}" if word == "out=braking" else word for word in evaluated]
        assert main(["evaluate", f"agent={name}:Braking", *changed]) == 2
        assert re.search(message, capsys.readouterr().err), name
        assert not (project / name / "summary.json").exists()

    broken = (project / "my_metrics.py").read_text()
    (project / "wide.py").write_text(broken.replace(".max(axis=-1)", ""))
    (project / "raises.py").write_text(broken.replace("return np", "return scene.no_such_field and np"))
    (project / "takes.py").write_text(broken.replace("    def measure", "    name = 'score'\n\n    def measure"))
    for name, message in {
        "wide": r"metric top_speed_mps returned shape \(1, 41\), expected \(1,\)",
        "raises": r"(?s)no_such_field.*Traceback.*raises\.py\", line \d+, in measure",
        "takes": r"takes:TopSpeed\.name: there is a column score already",
    }.items():
        changed = [f"out={name}" if word == "out=braking" else word for word in evaluated]
        assert main(["evaluate", "agent=human", f"metrics=[{name}:TopSpeed]", *changed]) == 2
        assert re.search(message, capsys.readouterr().err), name
        assert not (project / name / "summary.json").exists()


@pytest.mark.parametrize(
    ("addition", "checkpoint", "message"),
    [
        (
            "def __init__(self, weights): ...",
            None,
            "asks for 'weights'; navforge gives checkpoint, data, device, batch_",
        ),
        ("def __init__(self, checkpoint): ...", None, "checkpoint: agent:Braking needs one; give checkpoint=FILE"),
        ("def __init__(self, checkpoint): ...", Path("none.pt"), r"checkpoint: none\.pt does not exist"),
        ("pass", Path("agent.py"), "the constructor of agent:Braking has no parameter of that name"),
        (
            "def __init__(self): 1 / 0",
            None,
            r"(?s)cannot be made\nTraceback.*agent\.py\".*in __init__.*ZeroDivisionError",
        ),
        ("name = None", None, r'agent:Braking has no name; give the class one: name = "braking"'),
    ],
)
def test_constructors_that_cannot_be_called_are_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, addition: str, checkpoint: Path | None, message: str
) -> None:
    monkeypatch.delitem(sys.modules, "agent", raising=False)
    (project / "agent.py").write_text((project / "my_agent.py").read_text() + f"\n    {addition}\n")
    with pytest.raises(ConfigError, match=message):
        agents.build("agent:Braking", checkpoint)


def test_a_constructor_gets_what_it_asks_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agent", raising=False)
    source = (project / "my_agent.py").read_text()
    constructor = "def __init__(self, checkpoint=None, *, device, tuned=True): self.given = checkpoint, device, tuned"
    (project / "agent.py").write_text(f"{source}\n    {constructor}\n")
    agent = agents.build("agent:Braking", Path("my_agent.py"), device="cpu")
    assert agent.given == (Path("my_agent.py"), "cpu", True)  # type: ignore[attr-defined]
    assert agent.fingerprint == file_fingerprint("my_agent.py")
    with pytest.raises(ConfigError, match="blank_camera: agent:Braking reads its cameras itself"):
        agents.build("agent:Braking", blank_camera=True)


def untrained(path: Path, name: str = "glance.yaml") -> PlannerConfig:
    """A checkpoint of a planner that learned nothing."""
    from navforge.core import provenance  # noqa: PLC0415

    config = recipe(name).planner
    planner = config.build()
    about = {
        "format": 1,
        "planner": planner_to_dict(config),
        "facts": {
            "fingerprints": {"vocabulary": None},
            "provenance": json.loads(json.dumps(provenance.collect(classes=config.classes))),
        },
    }
    state = {f"planner.{key}": value for key, value in planner.state_dict().items()}
    write_values(path, {"state_dict": state, KEY: about})
    return config


def test_a_checkpoint_knows_the_code_it_was_trained_with(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = untrained(project / "a.ckpt")
    assert load_planner(project / "a.ckpt").config == config
    assert capsys.readouterr().err == ""
    values = read_values(project / "a.ckpt")
    values[KEY]["facts"]["provenance"]["extensions"][WAYPOINTS]["sources"]["my_planner.layers"] = "0" * 16
    write_values(project / "b.ckpt", values)
    load_planner(project / "b.ckpt")
    assert f"b.ckpt was trained with other code of {WAYPOINTS} (my_planner.layers); plans" in capsys.readouterr().err


def test_a_checkpoint_whose_module_is_missing_says_how_to_get_it(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    untrained(project / "a.ckpt")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != str(project)])
    for name in [name for name in sys.modules if name.split(".")[0] == "my_planner"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(DataError) as raised:
        load_planner(project / "a.ckpt")
    text = str(raised.value)
    assert f"encoder: there is no module my_planner (of {GLANCE}), neither in {elsewhere} nor in the environ" in text
    assert "put that folder into PYTHONPATH" in text and f"my_planner.parts in {project}/my_planner/parts.py" in text


def test_an_installed_package_registers_short_names(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    groups = tomllib.loads(block[1])["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    info = project / "my_planner-0.4.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-planner\nVersion: 0.4\n")
    (info / "entry_points.txt").write_text("\n".join(lines))
    assert [metric.name for metric in load_metrics(["top_speed"])] == ["top_speed_mps"]
    assert encoders.GROUP.find("glance").kind == GLANCE and heads.GROUP.find("waypoints").kind == WAYPOINTS
    text = (project / "glance.yaml").read_text().replace(GLANCE, "glance").replace(WAYPOINTS, "waypoints")
    (project / "short.yaml").write_text(text)
    config = untrained(project / "a.ckpt", "short.yaml")
    held = read_checkpoint(project / "a.ckpt")
    assert planner_to_dict(config)["encoder"]["kind"] == GLANCE, "a checkpoint does not depend on the registration"
    facts = held.facts["provenance"]["extensions"][GLANCE]
    assert (facts["distribution"], facts["version"]) == ("my-planner", "0.4")
    with pytest.raises(ConfigError, match=r"unknown kind 'glanse'; did you mean glance\? Known: ego_status.*glance"):
        encoders.GROUP.find("glanse")
    other = project / "other_planner-1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other-planner\nVersion: 1\n")
    (other / "entry_points.txt").write_text("[navforge.encoders]\nglance = other_planner:Config\n")
    with pytest.raises(ConfigError, match=r"two packages register 'glance', .*of my-planner 0\.4.*of other-planner 1"):
        encoders.GROUP.find("glance")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("channels: 8", "chanels: 8"), r"encoder my_planner.parts:GlanceConfig: unknown key"),
        (lambda text: text.replace("channels: 8", "channels: 0"), r"channels: expected int in \[1, inf\], got 0"),
        (lambda text: text.replace("epochs", "epoch"), "train: unknown key 'epoch'; did you mean epochs"),
        (lambda text: text.replace("train:", "training:"), "unknown key 'training'; did you mean train"),
        (
            lambda text: text.replace(GLANCE, "my_planner.parts:Glance"),
            "Glance .* is not a subclass of .*EncoderConfig",
        ),
        (lambda text: text.replace(GLANCE, "my_planner.parts:Glimpse"), "has no class Glimpse.*there: .*GlanceConfig"),
        (lambda text: text.replace(GLANCE, "other:Config"), "encoder: there is no module other "),
        (lambda text: text.replace(f"  kind: {GLANCE}\n", ""), "encoder: expected a mapping with the key kind"),
        (lambda text: "name: ego_mlp\n" + text, "ego_mlp is a planner of navforge"),
        (lambda text: "name: a b\n" + text, "name: expected letters"),
        (lambda text: text + "  epochs: 3\n", "key 'epochs' occurs twice"),
    ],
)
def test_mistakes_in_a_recipe_are_named(project: Path, change: Callable[[str], str], message: str) -> None:
    path = project / "glance.yaml"
    text = change(path.read_text())
    assert text != path.read_text()
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"(?s)^recipe glance\.yaml.*{message}"):
        recipe("glance.yaml")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return Glance(self.channels)", "return nn.Linear(1, 1)", "build returned a Linear, not a Encoder"),
        ("self.channels = channels\n", "pass\n", "its attribute channels, the width of a token, is not set"),
        ("    hidden: int", "    needs_vocabulary = True\n    hidden: int", 'register_buffer."vocabulary"'),
        ("    hidden: int", "    teacher_columns = ('comfort',)\n    hidden: int", "its teacher_protocol must say"),
    ],
)
def test_parts_that_break_the_contract_are_named(project: Path, old: str, new: str, message: str) -> None:
    from navforge.vocabulary.vocabulary import Vocabulary  # noqa: PLC0415

    path = project / "my_planner" / "parts.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    vocabulary = Vocabulary(torch.rand(4, 40, 3).numpy())
    with pytest.raises(ConfigError, match=message):
        recipe("glance.yaml").planner.build(vocabulary)


def test_a_kind_of_ones_own_is_refused_where_it_is_written(project: Path) -> None:
    path = project / "my_planner" / "parts.py"
    path.write_text(path.read_text().replace("    channels: int", '    kind = "glance"\n    channels: int', 1))
    with pytest.raises(ConfigError, match=r"(?s)the import of .* fails\n.*parts\.py.*GlanceConfig\.kind: leave it out"):
        recipe("glance.yaml")


def test_configs_of_other_packages_survive_plain_values(project: Path) -> None:
    config = recipe("glance.yaml").planner
    assert planner_from_dict(planner_to_dict(config)) == config
    with pytest.raises(ConfigError, match="my_agent:Braking is a class, and a class can be evaluated only"):
        recipe("my_agent:Braking")
    with pytest.raises(ConfigError, match="no planner is called 'ego_mpl'; did you mean ego_mlp"):
        recipe("ego_mpl")

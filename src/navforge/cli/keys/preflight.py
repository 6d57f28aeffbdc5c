"""Keys of `navforge preflight`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from navforge.cli.keys import by_agent, pretrain, train
from navforge.cli.keys.launching import LaunchKeys
from navforge.core import config as configs
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.preflight.script import read_script
from navforge.runs.folder import RunFolder
from navforge.training.run_config import RunConfig, read_run_config

NOT_THE_RUN = ("launch", "cluster", "time_limit", "code", "preflight", "force", "script", "json")
"""Keys of a script's command that say how it starts, which here the script itself does."""
JSON_HELP = "file for findings and figures as JSON"
FORCE_HELP = "checks whose refusal is accepted, by name"
SCRIPT_HELP = "batch script to check; keys of its navforge command count unless given here"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScriptKeys(LaunchKeys):
    """A batch script, and where to write the report, beside the keys of a run."""

    script: Path | None = key(None, SCRIPT_HELP)
    json: Path | None = key(None, JSON_HELP)

    def __post_init__(self) -> None:
        if self.script is None:
            super().__post_init__()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(ScriptKeys, train.Config):
    """Keys of `navforge train`, a batch script, and where to write the report."""

    def __post_init__(self) -> None:
        """Raise ConfigError for several runs."""
        super().__post_init__()
        if self.seeds:
            raise ConfigError(
                "seeds: a preflight judges one run; give train.seed= (navforge train judges each of them)"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainConfig(ScriptKeys, pretrain.Config):
    """Keys of `navforge pretrain`, a batch script, and where to write the report."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScriptConfig:
    """Keys for a batch script that calls another trainer."""

    script: Path = key(help=SCRIPT_HELP)
    json: Path | None = key(None, JSON_HELP)
    force: tuple[str, ...] = key((), FORCE_HELP)


def configure(words: Sequence[str]) -> Config | PretrainConfig | ScriptConfig:
    """Keys of `train`, or with `method=` of `pretrain`; words of a batch script's command stand behind those given."""
    given = {word.partition("=")[0]: word for word in words}
    of_script: tuple[str, ...] = ()
    if "script" in given:
        path = Path(given["script"].partition("=")[2])
        script = read_script(path)
        if script.trainer is not None:
            return _of_other_trainer(path, script.trainer.name, words)
        if not {"agent", "method"} & set(given) and script.verb == "rank":
            return _of_run_folder(_run_config_file(path, script.run), words)
        of_script = script.words
    later = [word for word in of_script if word.partition("=")[0] not in (*given, *NOT_THE_RUN)]
    words = [*words, *later]
    if any(word.startswith("method=") for word in words):
        return configs.merge(PretrainConfig, words)
    if not any(word.startswith("agent=") for word in words):
        train.configure(words)  # says which agents there are
    return configs.merge(template(words), by_agent.by_name(words))


def _run_config_file(script: Path, run: str | None) -> Path:
    """The config of the run folder that a script's `navforge rank` names, or that the script is in.

    Raises:
        ConfigError: neither holds a run.
    """
    beside = RunFolder(script.parent).config
    if run is None or "$" in run:
        if beside.is_file():
            return beside
        raise ConfigError(
            f"script: {script} calls navforge rank {run or 'without a run folder'}"
            + (", whose variables are not set in the script" if run else "")
            + "; write the run folder's path there, or give agent= and the other keys of the run"
        )
    places = [RunFolder(place / run).config for place in (Path.cwd(), script.parent)]
    for place in [*places, beside]:
        if place.is_file():
            return place
    raise ConfigError(
        f"script: {script} calls navforge rank {run}, and {places[0].parent} is not a run folder; navforge train makes "
        "one, or give agent= and the other keys of the run"
    )


def _of_other_trainer(script: Path, command: str, words: Sequence[str]) -> ScriptConfig:
    fields = {field.name for field in dataclasses.fields(ScriptConfig)}
    for word in words:
        if word.partition("=")[0] not in fields:
            raise ConfigError(
                f"{word}: {script} calls {command}, for which keys of navforge train mean nothing; give only script=, "
                "json= and force=, or a script that calls navforge"
            )
    return configs.merge(ScriptConfig, words)


def template(words: Sequence[str]) -> type[Config | PretrainConfig]:
    """What `--help` describes: with `method=` the keys of `navforge pretrain`."""
    if any(word.startswith("method=") for word in words):
        return PretrainConfig
    bases = (train.template(words), Config)
    return dataclasses.make_dataclass("Config", [], bases=bases, frozen=True, kw_only=True)


def _of_run_folder(written: Path, words: Sequence[str]) -> Config | PretrainConfig:
    """The config of a run folder, for its own batch script."""
    run = read_run_config(written)
    cls = Config if isinstance(run, RunConfig) else PretrainConfig
    values: dict[str, Any] = {f.name: getattr(run, f.name) for f in dataclasses.fields(run)}
    return configs.merge(cls(**values, script=written), words)

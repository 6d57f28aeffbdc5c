"""Words after a verb become strict `key=value` overrides."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from navforge.cli import main as cli
from navforge.cli.argv import plain, to_overrides, usage
from navforge.core.config import key, leaves
from navforge.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Config:
    run: str = key(help="run folder")
    rank: int | None = key(None, "rank")
    follow: bool = key(False, "go on")
    batch_size: int = key(1, "scenes")


def convert(*words: str, positional: tuple[str, ...] = ("run",)) -> list[str]:
    return to_overrides(words, leaves(Config), positional)


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        (["runs/a"], ["run=runs/a"]),
        (["runs/a", "--rank", "3", "--follow"], ["run=runs/a", "rank=3", "follow=true"]),
        (["--follow", "runs/a"], ["follow=true", "run=runs/a"]),
        (["--follow=false", "--run=a"], ["follow=false", "run=a"]),
        (["run=a", "rank=3"], ["run=a", "rank=3"]),
        (["a", "--batch-size", "4"], ["run=a", "batch_size=4"]),
        (["a", "--rank", "-1"], ["run=a", "rank=-1"]),
        (["a", "unknown=1"], ["run=a", "unknown=1"]),
    ],
)
def test_words_become_overrides(words: list[str], overrides: list[str]) -> None:
    assert convert(*words) == overrides


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b"], "unexpected word 'b' after RUN"),
        (["a", "--rnak", "3"], "unknown key '--rnak'.*rank"),
        (["a", "--rank"], "--rank needs a value: --rank INT OR NULL"),
        (["a", "--rank", "--follow"], "--rank needs a value"),
        (["a", "-f"], "unexpected word '-f'"),
    ],
)
def test_what_is_not_understood_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        convert(*words)


def test_bare_words_of_a_verb_without_places_are_left_for_merge_to_refuse() -> None:
    assert convert("a", positional=()) == ["a"]


def test_keys_are_found_before_they_are_known() -> None:
    assert plain(["--agent", "ego_mlp", "--x=1", "--flag", "--y", "2", "z=3", "bare"]) == [
        "x=1",
        "z=3",
        "agent=ego_mlp",
        "y=2",
    ]


def test_usage() -> None:
    assert usage(("run",)) == "RUN key=value ..." and usage(()) == "key=value ..."


@pytest.fixture
def made_up_verbs(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """A verb `jobs` without places and `jobs look` with one, whose configs land in the list."""
    given: list[Config] = []

    def run(config: Config) -> int:
        given.append(config)
        return 7

    modules = {
        "jobs": SimpleNamespace(Config=Config, run=run),
        "jobs look": SimpleNamespace(Config=Config, run=run, POSITIONAL=("run",)),
    }
    monkeypatch.setattr(cli, "VERBS", {verb: "a verb" for verb in modules})
    monkeypatch.setattr(cli, "_module", lambda verb, package: modules[verb])
    return given


def test_the_command_line_takes_places_and_switches(made_up_verbs: list[Config]) -> None:
    assert cli.main(["jobs", "look", "runs/a", "--rank", "3", "--follow"]) == 7
    assert made_up_verbs == [Config(run="runs/a", rank=3, follow=True)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["jobs", "lok", "runs/a"], "unknown verb 'jobs lok'; verbs: jobs, jobs look"),
        (["jobs", "look", "a", "b"], "unexpected word 'b'"),
        (["jobs", "look", "a", "rank=x"], "rank: expected int or null, got 'x'"),
        (["jobs", "look", "a", "run=b"], "run was given twice"),
        (["jobs", "look"], "missing required key"),
    ],
)
def test_the_command_line_stays_strict(
    words: list[str], message: str, made_up_verbs: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err and not made_up_verbs


def test_help_shows_the_places(made_up_verbs: list[Config], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["jobs", "look", "--help"]) == 0
    out = capsys.readouterr().out
    assert "navforge jobs look RUN key=value ..." in out and not made_up_verbs


def test_flags_of_a_verb_whose_keys_depend_on_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--agent", "hydra_mdp_v8192_w_ep", "--planner.head.protocol", "nope"]) == 2
    assert "planner.head.protocol: expected" in capsys.readouterr().err

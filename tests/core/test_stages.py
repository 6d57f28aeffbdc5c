"""A chain of stages runs what is not done and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.core.stages import Stage, run_stages, timing_table


@dataclass(frozen=True, kw_only=True)
class Config:
    out: Path = key()
    text: str = key("x")
    workers: int = key(0)


@pytest.fixture
def chain(tmp_path: Path) -> tuple[list[Stage], Callable[[list[Stage]], list[str]]]:
    ran: list[str] = []

    def write(config: Config) -> None:
        ran.append(config.out.name)
        config.out.mkdir(exist_ok=True)
        (config.out / "file").write_text(config.text)

    def stage(name: str, needs: tuple[str, ...] = ()) -> Stage:
        out = tmp_path / name
        return Stage(name=name, run=write, config=Config(out=out), outputs=(out,), needs=needs)

    def go(stages: list[Stage]) -> list[str]:
        ran.clear()
        run_stages(stages, tmp_path / "stamps", Console(file=io.StringIO()))
        return list(ran)

    return [stage("a"), stage("b", ("a",)), stage("c")], go


def changed(stages: list[Stage], index: int, **values: object) -> list[Stage]:
    new = list(stages)
    new[index] = replace(new[index], config=replace(new[index].config, **values))
    return new


def test_second_run_skips_everything(chain) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain
    assert go(stages) == ["a", "b", "c"]
    assert go(stages) == []
    assert go(changed(stages, 0, workers=4)) == []


def test_a_changed_config_reruns_it_and_what_reads_it(chain) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain
    go(stages)
    assert go(changed(stages, 0, text="y")) == ["a", "b"]
    assert go(changed(stages, 0, text="y")) == []


@pytest.mark.parametrize("damage", ["delete", "truncate", "stamp"])
def test_damaged_output_is_made_again(chain, damage: str) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain
    go(stages)
    path = stages[2].outputs[0] / "file"
    if damage == "delete":
        path.unlink()
    elif damage == "truncate":
        path.write_text("")
    else:
        (path.parent.parent / "stamps" / "c.json").write_text("{")
    assert go(stages) == ["c"]


def test_an_interrupted_stage_starts_clean(chain) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain

    def interrupted(config: Config) -> None:
        config.out.mkdir()
        (config.out / "half").write_text("")
        raise KeyboardInterrupt

    broken = [stages[0], replace(stages[1], run=interrupted), stages[2]]
    with pytest.raises(KeyboardInterrupt):
        go(broken)
    assert go(stages) == ["b", "c"]
    assert not (stages[1].outputs[0] / "half").exists()


def test_a_resumable_stage_keeps_what_the_same_run_left(chain) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain
    found: list[bool] = []

    def resumable(config: Config) -> None:
        half = config.out / "half"
        found.append(half.exists())
        config.out.mkdir(exist_ok=True)
        half.write_text("")
        if len(found) < 4:
            raise KeyboardInterrupt

    first = [replace(stages[0], run=resumable, resumable=True)]
    for expected, text in ((False, "x"), (True, "x"), (False, "other"), (True, "other")):
        if len(found) < 3:
            with pytest.raises(KeyboardInterrupt):
                go(changed(first, 0, text=text))
        else:
            go(changed(first, 0, text=text))
        assert found[-1] is expected


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_the_user_has_there_is_kept_and_nothing_runs(chain, what: str) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain
    theirs = stages[2].outputs[0]
    if what == "folder":
        theirs.mkdir()
        theirs = theirs / "thesis.txt"
    theirs.write_text("years of work")
    with pytest.raises(ConfigError, match=r"out: .*c exists and was not made by navforge demo; give another out="):
        go(stages)
    assert theirs.read_text() == "years of work"
    assert not stages[0].outputs[0].exists()


def test_an_empty_folder_is_nobodys(chain) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain
    stages[0].outputs[0].mkdir()
    assert go(stages) == ["a", "b", "c"]


def test_a_stage_without_output_is_a_bug(chain) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain
    with pytest.raises(RuntimeError, match="stage a ended without making"):
        go([replace(stages[0], run=lambda config: None)])


def test_timing_table_counts_this_run_only(chain, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    stages, go = chain
    go(stages)
    timings = run_stages(changed(stages, 2, text="z"), tmp_path / "stamps", Console(file=io.StringIO()))
    assert [timing.skipped for timing in timings] == [True, True, False]
    cells = list(timing_table(timings).columns[1].cells)
    assert cells[-1] == cells[-2]

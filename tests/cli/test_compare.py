"""`navforge compare` on written tables."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from navforge.cli.main import main
from navforge.evaluation import tables
from tests.evaluation.made import noisy_planner, small_table


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Evaluations `base-0` .. `base-2`, `good-0` ..; `lone.parquet`, a table."""
    for name, gain in (("base", 0.0), ("good", 0.15)):
        for seed, table in enumerate(noisy_planner(name, gain).tables):
            (tmp_path / f"{name}-{seed}").mkdir()
            tables.write(tmp_path / f"{name}-{seed}" / "scores.parquet", table)
    tables.write(tmp_path / "lone.parquet", noisy_planner("lone", 0.2, seeds=1).tables[0])
    return tmp_path


def group(runs: Path, name: str) -> str:
    return f"{name}=[{','.join(str(runs / f'{name}-{seed}') for seed in range(3))}]"


def test_prints_and_writes_verdicts(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [group(runs, "base"), group(runs, "good"), f"lone={runs / 'lone.parquet'}", f"out={runs / 'out'}"]
    assert main(["compare", *words]) == 0
    printed = capsys.readouterr().out
    verdicts = printed[printed.index("Comparisons under epdms_v2") : printed.index("Differences by sub-score")]
    rows = {line.split()[0]: line for line in verdicts.splitlines() if line.split()[1:2] == ["base"]}
    assert rows["good"].split()[2] == "better" and " one seed " in rows["lone"]
    assert "split tiny (0123456789abcdef), traffic log_replay, 20 logs, human filter on" in " ".join(printed.split())
    assert "seeds: base: 3; good: 3; lone: 1" in " ".join(printed.split())
    markdown, latex = ((runs / "out" / f"comparison.{end}").read_text() for end in ("md", "tex"))
    for text in (markdown, latex):
        assert "0123456789abcdef" in text and "20 logs" in text and "good: 3" in text and "better" in text
    assert r"\toprule" in latex
    numbers = pl.read_csv(runs / "out" / "comparison.csv")
    assert set(numbers["verdict"].drop_nulls()) == {"better", "one seed"}
    assert (runs / "out" / "compare.config.yaml").exists()
    parquet = pl.read_parquet(runs / "out" / "comparison.parquet")
    assert parquet.columns == numbers.columns
    assert parquet["value"].to_list() == numbers["value"].to_list()


def test_floors_stand_below_a_rule(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stop = small_table(logs=20, scenes_per_log=6, score=lambda log, scene: 0.0, agent="stop")
    tables.write(runs / "stop.parquet", stop)
    words = [group(runs, "base"), group(runs, "good")]
    assert main(["compare", *words]) == 0
    alone = capsys.readouterr().out
    lone = f'"lone=[{runs / "lone.parquet"}]"'
    assert main(["compare", *words, f"floors=[stop={runs / 'stop.parquet'},{lone}]", "published=true"]) == 0
    printed = capsys.readouterr().out
    means = printed[: printed.index("Comparisons under")].splitlines()
    rule = next(number for number, line in enumerate(means) if line.startswith("floors:"))
    assert [line.split()[0] for line in means[rule + 1 : rule + 3]] == ["stop", "lone"]
    assert means[rule - 1].split()[:4] == ["good", "all", "-", "base"]
    assert printed[printed.index("Comparisons under") :].startswith(alone[alone.index("Comparisons under") :].rstrip())
    assert "published: no row of a paper is of epdms_v2 on these scenes" in printed


def test_a_planner_may_be_called_like_a_key_of_the_devkit(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", group(runs, "base").replace("base=", "agent=", 1), f"hydra={runs / 'lone.parquet'}"]) == 0
    assert "hydra" in capsys.readouterr().out


def test_the_same_comparison_by_keys(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", group(runs, "base"), group(runs, "good"), "--protocol", "epdms_v2"]) == 0
    by_words = capsys.readouterr().out
    listed = ",".join(f'"{group(runs, name)}"' for name in ("base", "good"))
    assert main(["compare", f"planners=[{listed}]", "protocol=epdms_v2", "against=base"]) == 0
    assert capsys.readouterr().out == by_words


def test_protocols_never_share_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        both = small_table(("pdms_v1", "epdms_v2"), checkpoint=name, trajectories=name)
        tables.write(tmp_path / f"{name}.parquet", both)
    assert main(["compare", str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("Comparisons under pdms_v1") == printed.count("Comparisons under epdms_v2") == 1
    tables.write(tmp_path / "b.parquet", small_table(("pdms_v1",), checkpoint="b", trajectories="b"))
    tables.write(tmp_path / "a.parquet", small_table(("epdms_v2",), checkpoint="a", trajectories="a"))
    assert main(["compare", f"a={tmp_path / 'a.parquet'}", f"b={tmp_path / 'b.parquet'}"]) == 2
    assert "the tables share none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["a={0}/base-0"], "two or more are needed"),
        ([], "missing required key(s): planners="),
        (["a={0}/base-0", "a={0}/good-0"], "a name that was given before"),
        (
            ["a={0}/base-0", "protocl=pdms_v1"],
            "names a planner and its evaluations; keys: planners, against, protocol, floors, published, out",
        ),
        (["a={0}/base-0", "b=[]"], "b: expected FOLDER or [FOLDER,...]"),
        (["a={0}/base-0", "b={0}/good-0", "against=c"], "against: expected all or one of a, b"),
        (["a={0}/base-0", "planners=[b={0}/good-0]"], "give all planners in one way"),
        (["a=[{0}/base-0,{0}/base-0]", "b={0}/good-0"], "is among them more than once"),
        (["a={0}/base-0", "b={0}/good-0", "floors=[a={0}/base-1]"], "floors: 'a={0}/base-1' has a name that was given"),
        (["a={0}/base-0", "b={0}/good-0", "floors=[c={0}/base-0]"], "a and c have a run in common"),
        (["a={0}/base-0", "b={0}/good-0", "published=[LAW]"], "its score is of pdms_v1, the tables are of epdms_v2"),
        (["a={0}/base-0", "b={0}/good-0", "published=[]"], "published: expected METHOD or [METHOD,...]"),
    ],
)
def test_what_cannot_be_compared(runs: Path, words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *(word.format(runs) for word in words)]) == 2
    assert error.format(runs) in " ".join(capsys.readouterr().err.split())

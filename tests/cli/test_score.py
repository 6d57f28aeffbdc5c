"""`navforge score` from the command line, on real logs."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import navforge
from navforge.cli import score as score_cli
from navforge.cli.main import main
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.evaluation import score as score_module
from navforge.evaluation import tables
from navforge.evaluation.plan_metrics import PLAN_METRICS
from navforge.metric_cache.store import MetricCache
from navforge.scoring import engine
from navforge.scoring.kernels import block

Score = Callable[..., int]


@pytest.fixture
def tokens(realdata: Path) -> list[str]:
    return list(load_split("real", DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=None)).tokens)


@pytest.fixture
def score(realdata: Path, real_cache: Path, tmp_path: Path) -> Score:
    def run(tokens: list[str], *words: str, per_scene: int = 1) -> int:
        x = np.linspace(1, 20, 8)
        poses = np.zeros((len(tokens), per_scene, 8, 3))
        poses[..., 0] = x * (1 + np.arange(per_scene))[:, None]
        np.savez(tmp_path / "t.npz", tokens=np.array(tokens), poses=poses, interval_s=0.5)
        return main(
            [
                "score",
                "split=real",
                f"cache={real_cache}",
                f"trajectories={tmp_path / 't.npz'}",
                f"out={tmp_path / 'out' / 't.parquet'}",
                f"data.logs={realdata / 'navsim_logs'}",
                "workers=1",
                *words,
            ]
        )

    return run


def test_one_row_per_token_and_index(score: Score, tokens: list[str], tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert score(tokens, "protocol=pdms_v1,epdms_v2", per_scene=3) == 0
    table = tables.read(tmp_path / "out" / "t.parquet")
    assert table.frame.height == 38 * 3 * 2
    assert sorted(set(table.frame["index"])) == [0, 1, 2]
    assert table.meta.protocols == ("pdms_v1", "epdms_v2")
    assert "38 scenes of split real" in capsys.readouterr().out
    assert (tmp_path / "out" / "t.score.config.yaml").exists()
    assert (tmp_path / "out" / "t.score.provenance.json").exists()


def test_a_trajectory_passes_the_files_that_the_architecture_names(
    score: Score, tokens: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Path(navforge.__file__).parent
    passed: list[str] = []

    def kernel(*arguments: object) -> None:
        frames = [Path(frame.filename) for frame in traceback.extract_stack()[:-1]]
        files = [str(path.relative_to(package)) for path in frames if path.is_relative_to(package)]
        passed[:] = dict.fromkeys([*files, "scoring/kernels/block.py"])
        block.score_states(*arguments)

    monkeypatch.setattr(engine, "score_states", kernel)
    assert score(tokens[:1], "allow_missing=true") == 0
    text = (package.parents[1] / "docs" / "architecture.md").read_text()
    listed = text.split("passes six files")[1].split("\n\n")[1]
    assert passed == [line.split()[0] for line in listed.splitlines()] and len(passed) == 6


def test_part_of_a_split_is_scored_if_asked_for_and_with_a_warning(
    score: Score, tokens: list[str], tmp_path: Path, capsys
) -> None:  # type: ignore[no-untyped-def]
    assert score(tokens[:5]) == 2
    error = capsys.readouterr().err
    assert "no trajectory for 33 of 38 scenes of split real" in error and "allow_missing=true" in error
    assert not (tmp_path / "out" / "t.parquet").exists()
    assert score(tokens[:5], "allow_missing=true") == 0
    assert "warning: not the whole split was scored: 5 of 38 scenes" in capsys.readouterr().err
    assert tables.read(tmp_path / "out" / "t.parquet").meta.missing == 33


def test_errors_and_smoothness_are_measured_as_in_an_evaluation(
    score: Score, tokens: list[str], real_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(tokens) == 0
    printed = capsys.readouterr().out
    assert "trajectories: beside the score" in printed and "ade_m" in printed and "jerk_rms_mps3" in printed
    assert (tmp_path / "out" / "t.metrics.parquet").is_file()
    measured = tables.read_evaluation(tmp_path / "out" / "t.parquet").metrics
    assert measured is not None
    assert measured.columns == [*tables.METRIC_KEYS, *(metric.name for metric in PLAN_METRICS)]
    assert sorted(measured["token"]) == sorted(tokens)
    human = MetricCache.open(real_cache).load(tokens[0]).human_poses
    assert human is not None
    fde = measured.filter(pl.col("token") == tokens[0])["fde_m"].item()
    assert fde == pytest.approx(np.hypot(human[-1, 0] - 20, human[-1, 1]))
    assert score(tokens, per_scene=2) == 0
    assert not (tmp_path / "out" / "t.metrics.parquet").exists(), "of the plans before"


def test_a_place_that_cannot_be_written_is_refused_before_scoring(
    score: Score, tokens: list[str], tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(score_cli, "score_split", lambda *_, **__: pytest.fail("scored first"))
    (tmp_path / "out" / "t.parquet").mkdir(parents=True)
    assert score(tokens) == 2
    assert f"{tmp_path / 'out' / 't.parquet'}: Is a directory" in capsys.readouterr().err


def test_refused_input_leaves_an_earlier_table(score: Score, tokens: list[str], tmp_path: Path) -> None:
    assert score(tokens[:2], "allow_missing=true") == 0
    before = (tmp_path / "out" / "t.parquet").read_bytes()
    assert score(["f" * 16]) == 2
    assert (tmp_path / "out" / "t.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (lambda t: ["f" * 16, *t], (), "1 of 39 tokens are not scenes of split real"),
        (lambda t: [*t, t[0]], (), "1 token(s) occur more than once"),
        (lambda t: t, ("protocol=epdms",), "protocol: expected one or several of"),
        (lambda t: t, ("human_filter=maybe",), "human_filter: expected one of auto, on, off"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(score: Score, tokens: list[str], change, words, message, capsys) -> None:  # type: ignore[no-untyped-def]
    assert score(change(tokens), *words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_out_must_be_a_parquet_file(capsys) -> None:  # type: ignore[no-untyped-def]
    assert main(["score", "split=real", "cache=c", "trajectories=t.npz", "out=t.csv"]) == 2
    assert "out: expected a path ending in .parquet" in capsys.readouterr().err


def test_a_failed_scene_leaves_no_table(
    score: Score, tokens: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out" / "t.parquet"
    assert score(tokens) == 0
    original = score_module.score_plans

    def sometimes(scene, *rest, **more):  # type: ignore[no-untyped-def]
        if scene.token == tokens[7]:
            raise RuntimeError("broken polygon")
        return original(scene, *rest, **more)

    monkeypatch.setattr(score_module, "score_plans", sometimes)
    assert score(tokens) == 2
    assert f"{tokens[7]} (av2." in capsys.readouterr().err
    assert not out.exists(), "the table of the run before must not pass for this one's"
    assert "broken polygon" in (tmp_path / "out" / "t.failures.json").read_text()

"""`navforge evaluate` from the command line, on real logs."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from navforge.cli.main import main
from navforge.core.files import file_fingerprint, sole_use
from navforge.core.outside.sealed import read_sealed, write_sealed
from navforge.data.paths import DataConfig
from navforge.data.splits import load_split
from navforge.evaluation import score as score_module
from navforge.evaluation import tables, trajectories

Evaluate = Callable[..., int]


@pytest.fixture
def evaluate(realdata: Path, real_cache: Path, tmp_path: Path) -> Evaluate:
    def run(*words: str, split: str = "real", cache: Path = real_cache) -> int:
        return main(
            [
                "evaluate",
                f"split={split}",
                f"cache={cache}",
                f"out={tmp_path / 'run'}",
                f"data.logs={realdata / 'navsim_logs'}",
                "workers=1",
                *words,
            ]
        )

    return run


def test_files_and_figures(evaluate: Evaluate, realdata: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    official = realdata / "golden" / "v2" / "official_human_agent_non_reactive.csv"
    assert evaluate("agent=human", "protocol=pdms_v1,epdms_v2", f"official={official}") == 0
    printed = capsys.readouterr().out
    assert "epdms_v2: 0 cells differ from the official table by more than 1e-4" in printed
    assert "0.8879" in printed
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["split"]["scenes"] == found["split"]["scored"] == 38
    # means of the official scripts, OFFICIAL_BEHAVIOUR.md
    assert found["protocols"]["epdms_v2"]["score"] == pytest.approx(0.8879, abs=1e-4)
    assert found["protocols"]["pdms_v1"]["score"] == pytest.approx(0.9108, abs=1e-4)
    assert found["protocols"]["epdms_v2"]["columns"]["two_frame_extended_comfort"]["scenes"] == 36
    assert found["provenance"]["navforge"]
    table = tables.read(tmp_path / "run" / "scores.parquet")
    plans = trajectories.read(tmp_path / "run" / "plans.npz")
    assert table.meta.trajectories == plans.fingerprint == found["fingerprints"]["trajectories"]
    assert set(plans.tokens) == set(table.frame["token"])
    assert (tmp_path / "run" / "evaluate.config.yaml").exists()


def test_results_of_another_evaluation_are_not_overwritten(evaluate: Evaluate, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert evaluate("agent=human", "protocol=pdms_v1") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    capsys.readouterr()
    for words, named in (
        (("agent=constant_velocity", "protocol=pdms_v1"), "agent=human, not constant_velocity"),
        (("agent=human", "protocol=epdms_v2"), "protocol=pdms_v1, not epdms_v2"),
        (("agent=human", "protocol=pdms_v1", "human_filter=on"), "human_filter=auto, not on"),
    ):
        assert evaluate(*words) == 2
        error = capsys.readouterr().err
        assert f"{tmp_path / 'run'} holds the results of another evaluation" in error and named in error
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    assert evaluate("agent=human", "protocol=pdms_v1") == 0


def test_summary_and_table_belong_together(evaluate: Evaluate, tmp_path: Path) -> None:
    assert evaluate("agent=human", "protocol=pdms_v1") == 0
    named = json.loads((tmp_path / "run" / "summary.json").read_text())["files"]
    assert named["scores.parquet"] == tables.checksum(tmp_path / "run" / "scores.parquet")
    assert named["plans.npz"] == file_fingerprint(tmp_path / "run" / "plans.npz")


def test_one_evaluation_at_a_time_in_a_folder(evaluate: Evaluate, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    with sole_use(tmp_path / "run"):
        assert evaluate("agent=human", "protocol=pdms_v1") == 2
    assert f"another process works in {tmp_path / 'run'}" in capsys.readouterr().err
    assert list((tmp_path / "run").iterdir()) == []


def test_plans_scored_from_the_file_give_the_same_table(
    evaluate: Evaluate, realdata: Path, real_cache: Path, tmp_path: Path
) -> None:
    assert evaluate("agent=human", "protocol=epdms_v2,pdms_v1") == 0
    words = [
        "score",
        "split=real",
        f"cache={real_cache}",
        f"trajectories={tmp_path / 'run' / 'plans.npz'}",
        "protocol=epdms_v2,pdms_v1",
        f"out={tmp_path / 'again.parquet'}",
        f"data.logs={realdata / 'navsim_logs'}",
        "workers=1",
    ]
    assert main(words) == 0
    first, again = tables.read(tmp_path / "run" / "scores.parquet"), tables.read(tmp_path / "again.parquet")
    assert again.frame.equals(first.frame)
    assert again.meta.trajectories == first.meta.trajectories
    assert again.meta.agent is None


def test_a_failed_scene_blocks_the_score(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:  # type: ignore[no-untyped-def]
    assert evaluate("agent=constant_velocity") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    original = score_module.score_plans
    seen: list[str] = []

    def first_fails(scene, *rest, **more):  # type: ignore[no-untyped-def]
        seen.append(scene.token)
        if len(seen) == 1:
            raise RuntimeError("broken polygon")
        return original(scene, *rest, **more)

    monkeypatch.setattr(score_module, "score_plans", first_fails)
    assert evaluate("agent=constant_velocity") == 2
    error = capsys.readouterr().err
    assert "1 of 38 scenes failed; no score is published" in error
    assert f"{seen[0]} (" in error
    assert "broken polygon" in error
    assert len(seen) == 38, "the others are still tried, so that every failure is listed"
    after = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert after.pop("failures.json") and after == before, "the earlier results stay as they were"


def test_results_are_replaced_by_whole_ones_only(
    evaluate: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate("agent=human", "protocol=pdms_v1") == 0
    run = tmp_path / "run"
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    def full(path: Path, table: object) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as disk:
        disk.setattr(tables, "write", full)
        assert evaluate("agent=human", "protocol=pdms_v1") == 2
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    (run / "scores.parquet").write_bytes(b"half")
    assert evaluate("agent=constant_velocity", "protocol=pdms_v1") == 2, "nobody knows whose results these are"


def test_a_mistyped_key_leaves_the_finished_evaluation(
    evaluate: Evaluate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("agent=constant_velocity") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert evaluate("agent=constant_velocity", split="reel") == 2
    assert evaluate("agent=constant_velocity", cache=tmp_path / "none") == 2
    (tmp_path / "bad.ckpt").write_text("no weights")
    assert evaluate("agent=ego_mlp", f"checkpoint={tmp_path / 'bad.ckpt'}") == 2
    assert "Traceback" not in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def write_filter(path: Path, tokens: list[str], logs: list[str]) -> None:
    path.write_text(
        "num_history_frames: 4\nnum_future_frames: 10\nframe_interval: 1\nhas_route: true\n"
        f"log_names: [{', '.join(logs)}]\ntokens: [{', '.join(repr(token) for token in tokens)}]\n"
    )


def test_missing_scenes_block_the_score_unless_allowed(
    evaluate: Evaluate, realdata: Path, tmp_path: Path, capsys
) -> None:  # type: ignore[no-untyped-def]
    split = load_split("real", DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=None))
    write_filter(tmp_path / "wide.yaml", [*split.tokens, "f" * 16], list(split.logs))
    assert evaluate("agent=human", split=str(tmp_path / "wide.yaml")) == 2
    assert "ffffffffffffffff" in capsys.readouterr().err
    assert not (tmp_path / "run" / "summary.json").exists()
    assert evaluate("agent=human", "allow_missing=true", split=str(tmp_path / "wide.yaml")) == 0
    assert "38 of 39 scenes of split wide" in capsys.readouterr().out
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (found["split"]["scenes"], found["split"]["scored"], found["split"]["missing"]) == (39, 38, 1)
    assert found["split"]["missing_hash"] == tables.missing_hash(["f" * 16])
    assert not tables.read(tmp_path / "run" / "scores.parquet").meta.complete


def test_a_cache_that_lacks_scenes_blocks_the_score(
    evaluate: Evaluate, real_cache: Path, tmp_path: Path, capsys
) -> None:  # type: ignore[no-untyped-def]
    manifest = read_sealed(real_cache / "cache.json", "manifest")
    small = tmp_path / "small"
    small.mkdir()
    (small / "logs").symlink_to(real_cache / "logs")
    log = next(iter(manifest["logs"].values()))
    gone = log["tokens"].pop()
    log["failed"][gone] = "no lane near the ego"
    write_sealed(small / "cache.json", manifest)
    assert evaluate("agent=human", cache=small) == 2
    error = capsys.readouterr().err
    assert f"1 of 38 scenes are not in the metric cache {small}: {gone} (no lane near the ego)" in error
    assert evaluate("agent=human", "allow_missing=true", cache=small) == 0
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (found["split"]["scored"], found["split"]["missing"]) == (37, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("agent=robot",), "agent: expected one of constant_velocity, human, "),
        (("agent=ego_mlp",), "checkpoint: agent ego_mlp is a planner"),
        (("agent=human", "protocol=pdms_v1", "official=V2"), "has the columns of none of the protocols pdms_v1"),
        (
            ("agent=human", "protocol=epdms_v2,epdms_v2_before_fix", "official=V2"),
            "has the columns of epdms_v2 and epdms_v2_before_fix",
        ),
        (("agent=human", "official=none.csv"), "official=none.csv is not a readable CSV file"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    evaluate: Evaluate, realdata: Path, words: tuple[str, ...], message: str, capsys
) -> None:  # type: ignore[no-untyped-def]
    official = str(realdata / "golden" / "v2" / "official_human_agent_non_reactive.csv")
    assert evaluate(*(word.replace("V2", official) for word in words)) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err

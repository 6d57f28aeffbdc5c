"""`navforge vocab` and `navforge vocab report` from the command line, on real logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge.cli import vocab
from navforge.cli.main import main
from navforge.vocabulary import clustering
from navforge.vocabulary.vocabulary import Vocabulary


@pytest.fixture
def data(realdata: Path) -> list[str]:
    return [f"data.logs={realdata / 'navsim_logs'}", f"data.maps={realdata / 'maps'}", "workers=1"]


def test_a_vocabulary_of_a_sample(data: list[str], tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "v.npy"
    assert main(["vocab", "split=real", f"out={out}", "size=8", "trajectories=20", "seed=1", *data]) == 0
    found = Vocabulary.load(out)
    assert found.size == 8 and "8 entries from 20 trajectories of real" in capsys.readouterr().out
    about = json.loads((tmp_path / "v.npy.json").read_text())
    assert about["trajectories"] == 20 and about["fingerprint"] == found.fingerprint
    assert main(["vocab", "split=real", f"out={out}", "size=30", "trajectories=20", *data]) == 2
    assert f"out: {out} is another vocabulary (seed is 1, size is 8)" in capsys.readouterr().err
    assert Vocabulary.load(out).fingerprint == found.fingerprint
    other = tmp_path / "w.npy"
    assert main(["vocab", "split=real", f"out={other}", "size=30", "trajectories=20", *data]) == 2
    assert "20 of them distinct, cannot make 30 vocabulary entries" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_refused_before_clustering(
    data: list[str], tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(vocab, "cluster", lambda *_, **__: pytest.fail("clustered first"))
    (tmp_path / "file").touch()
    assert main(["vocab", "split=real", f"out={tmp_path / 'file' / 'v.npy'}", "size=8", *data]) == 2
    assert f"{tmp_path / 'file'}: File exists; a file is there where a folder is expected" in capsys.readouterr().err


def test_many_trajectories_take_the_exact_k_means(
    data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering, "EXACT_FROM", 10)
    told: list[tuple[str, int, int]] = []
    exact = clustering.kmeans

    def watched(*args: Any, step: Any, **options: Any) -> Any:
        def both(*words: Any) -> None:
            told.append(words)
            step(*words)

        return exact(*args, step=both, **options)

    monkeypatch.setattr(clustering, "kmeans", watched)
    assert main(["vocab", "split=real", f"out={tmp_path / 'v.npy'}", "size=8", *data]) == 0
    assert Vocabulary.load(tmp_path / "v.npy").size == 8
    assert ("seeds", 8, 8) in told and told[-1][0] == "rounds"


def test_report_of_a_file_alone(tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    poses = np.zeros((3, 40, 3), np.float32)
    poses[1:, :, 0] = np.arange(1, 41) * np.array([[0.5], [1.2]])
    Vocabulary(poses).save(tmp_path / "mine.npy")
    assert main(["vocab", "report", str(tmp_path / "mine.npy")]) == 0
    said = capsys.readouterr().out
    assert "top speed (m/s)" in said and "12.0" in said and "33.3 %" in said and "left out: the oracle" in said
    folder = tmp_path / "mine.report"
    assert json.loads((folder / "report.json").read_text())["limits"]["top_speed_mps"] == pytest.approx(12.0, abs=1e-4)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert (folder / "report.provenance.json").exists()


def test_report_against_humans_and_a_teacher_store(data: list[str], real_cache: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    file, store, out = tmp_path / "v.npy", tmp_path / "store", tmp_path / "report"
    assert main(["vocab", "split=real", f"out={file}", "size=38", *data]) == 0
    words = [f"vocabulary={file}", "split=real", f"cache={real_cache}", *data]
    assert main(["teach", *words, f"out={store}"]) == 0
    taught = capsys.readouterr().out
    assert main(["vocab", "report", *words, f"store={store}", f"out={out}", "scenes=2"]) == 0
    said = capsys.readouterr().out
    found = json.loads((out / "report.json").read_text())
    assert f"oracle {found['oracle']['mean']:.4f}" in taught
    assert found["human"]["quantisation"]["ade_m"]["max"] < 1e-3, "every human trajectory is an entry"
    assert found["human"]["entries_used"] == 38
    assert len(found["oracle"]["worst"]) == 2 and "Worst scenes" in said
    page = (out / "report.html").read_text()
    assert page.count("<figure") == 2 and found["oracle"]["worst"][0]["token"] in page


def test_what_does_not_fit_is_refused(data: list[str], real_cache: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    Vocabulary(np.zeros((2, 40, 3), np.float32)).save(tmp_path / "v.npy")
    assert main(["vocab", "report", str(tmp_path / "v.npy"), f"cache={real_cache}"]) == 2
    assert "give store=FOLDER too" in capsys.readouterr().err
    assert main(["vocab", "report", str(tmp_path / "v.npy"), f"store={tmp_path / 'none'}"]) == 2
    assert "not found" in capsys.readouterr().err
    assert main(["vocab", "report"]) == 2 and "vocabulary=PATH" in capsys.readouterr().err
    assert main(["vocab", "nonsense"]) == 2 and "unknown verb 'vocab nonsense'" in capsys.readouterr().err

"""Published tables to stores and back: bit for bit, and refused by name where they are not what they should be."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navforge.cli.main import main
from navforge.core.errors import DataError
from navforge.scoring.protocols import protocol
from navforge.teacher.importing import export_table, import_table
from navforge.teacher.rows import HALVES
from navforge.teacher.store import TeacherStore
from navforge.teacher.tables import GTRS, HYDRA_MDP, LAYOUTS, TableLayout
from navforge.vocabulary.vocabulary import Vocabulary
from tests.teacher.made import repeated_store

ENTRIES = 37
Table = dict[str, dict[str, np.ndarray]]


def vocabulary(size: int = ENTRIES) -> Vocabulary:
    return Vocabulary(np.random.default_rng(0).normal(size=(size, 40, 3)).astype(np.float32))


def table(layout: TableLayout, scenes: int = 5, dtype: Any = np.float16) -> Table:
    generator = np.random.default_rng(1)
    made: Table = {}
    for number in range(scenes):
        made[f"{number:016x}"] = scene = {}
        for column, key in layout.keys.items():
            if column in ("ego_progress", "score"):
                scene[key] = generator.random(ENTRIES).astype(dtype)
            else:
                steps = (0.0, 0.5, 1.0) if column in HALVES else (0.0, 1.0)
                scene[key] = generator.choice(steps, ENTRIES).astype(dtype)
    return made


def write(path: Path, content: Any) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


def imported(path: Path, out: Path, layout: TableLayout) -> TeacherStore:
    return import_table(path, out, vocabulary(), layout, protocol(layout.protocol), ep_rule="unknown")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_table_comes_back_bit_for_bit(tmp_path: Path, layout: TableLayout) -> None:
    content = table(layout)
    store = imported(write(tmp_path / "t.pkl", content), tmp_path / "store", layout)
    store.check()
    assert store.tokens == tuple(content) and store.columns[-1] == "score"
    for token, scene in content.items():
        for column, values in store.row(token).items():
            np.testing.assert_array_equal(values, scene[layout.keys[column]].astype(np.float32))
    assert export_table(store, tmp_path / "back.pkl", layout) == len(content)
    back = pickle.loads((tmp_path / "back.pkl").read_bytes())
    assert list(back) == list(content)
    for token, scene in content.items():
        assert list(back[token]) == list(scene)
        assert all(back[token][key].tobytes() == scene[key].tobytes() for key in scene)
        assert all(back[token][key].dtype == np.float16 for key in scene)
    assert store.header["rounding"] == dict.fromkeys(store.layout.names, 0.0)
    assert store.header["oracle"] == pytest.approx(np.mean([s[layout.keys["score"]].max() for s in content.values()]))


def test_a_store_that_was_taught_becomes_a_table_of_its_values(tmp_path: Path) -> None:
    repeated_store(tmp_path / "taught", vocabulary(), 12, protocol("epdms_v2"))
    taught = TeacherStore.open(tmp_path / "taught", vocabulary())
    export_table(taught, tmp_path / "t.pkl", GTRS)
    again = imported(tmp_path / "t.pkl", tmp_path / "again", GTRS)
    for token in taught.tokens:
        for column, values in taught.row(token).items():
            np.testing.assert_array_equal(again.row(token)[column], values.astype(np.float16).astype(np.float32))
    with pytest.raises(DataError, match="holds epdms_v2, which has no comfort: it makes no hydra_mdp table"):
        export_table(taught, tmp_path / "h.pkl", HYDRA_MDP)
    assert not (tmp_path / "h.pkl").exists()


def test_wider_floats_are_rounded_and_the_header_says_by_how_much(tmp_path: Path) -> None:
    content = table(GTRS, dtype=np.float64)
    store = imported(write(tmp_path / "t.pkl", content), tmp_path / "store", GTRS)
    worst = max(np.abs(store.row(t)["ego_progress"] - s["ego_progress"]).max() for t, s in content.items())
    assert store.header["rounding"]["ego_progress"] == pytest.approx(worst, abs=1e-9) and 0 < worst < 7.7e-6


def test_optional_columns_may_be_absent_from_all_scenes(tmp_path: Path) -> None:
    content = table(HYDRA_MDP)
    for scene in content.values():
        del scene["ddc"], scene["total"]
    store = imported(write(tmp_path / "t.pkl", content), tmp_path / "store", HYDRA_MDP)
    assert "score" not in store.columns and store.header["oracle"] is None
    with pytest.raises(DataError, match="has no column driving_direction_compliance"):
        store.require(tokens=store.tokens, columns=("driving_direction_compliance",), protocol="pdms_v1", cache="any")
    store.require(tokens=store.tokens, columns=("comfort",), protocol="pdms_v1", cache="any")


def edit(change: Callable[[Table], None]) -> Table:
    content = table(GTRS)
    change(content)
    return content


LAST = f"{4:016x}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            edit(lambda t: t[LAST].pop("lane_keeping")),
            f"scene {LAST}: .* gtrs table: missing lane_keeping",
        ),
        (edit(lambda t: t[LAST].update(extra=np.ones(ENTRIES))), f"scene {LAST}: .* unexpected extra"),
        (edit(lambda t: t[LAST].pop("pdm_score")), f"scene {LAST}: has the columns .*, the first has .*score"),
        (edit(lambda t: t[LAST].update(lane_keeping=np.ones(36))), r"shape \(36,\), the vocabulary has 37 entries"),
        (edit(lambda t: t[LAST].update(lane_keeping=np.full(ENTRIES, 0.5))), "cannot keep the value .*0.5.* as flag"),
        (edit(lambda t: t[LAST].update(lane_keeping=[1.0] * ENTRIES)), "lane_keeping is not an array of numbers"),
        (edit(lambda t: t[LAST].update(ego_progress=np.full(ENTRIES, np.nan, np.float16))), "cannot keep the value"),
        (edit(lambda t: t.update({"a b": t[LAST]})), "scene a b: is not a token"),
        (edit(lambda t: t.update({LAST: np.ones(3)})), "holds a ndarray, not a dict of arrays"),  # type: ignore[dict-item]
        (table(HYDRA_MDP), r"missing .* \(are these layout=hydra_mdp\?\)"),
        ({}, "holds no scene"),
    ],
)
def test_what_is_no_such_table_is_refused_and_leaves_no_store(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        imported(write(tmp_path / "t.pkl", content), tmp_path / "store", GTRS)
    assert not (tmp_path / "store" / "header.json").exists() and not (tmp_path / "store" / "rows.bin").exists()


def test_a_token_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    one = pickle.dumps(table(GTRS, scenes=1), protocol=2)
    item = one[one.index(b"X") : -2]  # of `}q\\0 X... s .`: the item without dict, SETITEM and STOP
    twice = one[:-1] + item + b"s."
    assert len(pickle.loads(twice)) == 1
    (tmp_path / "t.pkl").write_bytes(twice)
    with pytest.raises(DataError, match="scene 0000000000000000: occurs twice"):
        imported(tmp_path / "t.pkl", tmp_path / "store", GTRS)


def test_the_verbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vocabulary().save(tmp_path / "v.npy")
    write(tmp_path / "t.pkl", table(GTRS))
    words = [f"vocabulary={tmp_path / 'v.npy'}", f"out={tmp_path / 'store'}"]
    again = ["import-teacher", f"source={tmp_path / 't.pkl'}", *words]
    assert main([*again, "ep_rule=gated"]) == 0
    assert "37 entries on 5 scenes of t, epdms_v2; oracle" in capsys.readouterr().out
    header = json.loads((tmp_path / "store" / "header.json").read_text())
    assert header["ep_rule"] == "as in the imported table: gated, against PDM-Closed alone"
    assert header["source"]["file"] == "t.pkl" and header["fingerprints"]["cache"] is None
    assert main([*again, "ep_rule=gated"]) == 0  # the same again: nothing to do
    assert main(again) == 2 and "holds another teacher store" in capsys.readouterr().err
    assert main([*again, "protocol=pdms_v1"]) == 2
    assert "pdms_v1 has no traffic_light_compliance" in capsys.readouterr().err
    export = ["export-teacher", f"teacher={tmp_path / 'store'}", words[0], f"out={tmp_path / 'back.pkl'}"]
    assert main(export) == 0
    assert "5 scenes of epdms_v2 as a gtrs table" in capsys.readouterr().out
    assert len(pickle.loads((tmp_path / "back.pkl").read_bytes())) == 5
    vocabulary(36).save(tmp_path / "other.npy")
    assert main([*export[:2], f"vocabulary={tmp_path / 'other.npy'}", export[3]]) == 2
    assert vocabulary().fingerprint in capsys.readouterr().err

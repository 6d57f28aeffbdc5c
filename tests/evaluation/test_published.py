"""Published rows stand only where protocol and scenes are theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from navforge.core.errors import ConfigError
from navforge.core.files import fingerprint
from navforge.data.filters import read_filter
from navforge.evaluation.published import SPLIT_HASHES, choose_published, published_rows
from navforge.evaluation.tables import ScoreTable, TableMeta, subscores
from navforge.scoring.protocols import PROTOCOLS

MakeTable = Callable[..., ScoreTable]


@pytest.fixture
def navtest(make_table: MakeTable) -> TableMeta:
    return make_table(split="navtest", split_hash=SPLIT_HASHES["navtest"]).meta


def test_every_row_names_what_it_is_of() -> None:
    rows = published_rows()
    assert len({(row.title, row.protocol) for row in rows}) == len(rows)
    columns = {one.name: {"score", *subscores(one.name)} for one in PROTOCOLS}
    for row in rows:
        assert row.source and row.split in SPLIT_HASHES
        assert "score" in row.values and row.values.keys() <= columns[row.protocol]
        assert all(0 <= value <= 100 for value in row.values.values())
    hydra = next(row for row in rows if row.method == "Hydra-MDP V8192-W-EP")
    assert (hydra.protocol, hydra.values["score"], hydra.values["ego_progress"]) == ("pdms_v1", 86.5, 78.7)


def test_hash_of_navtest_is_that_of_its_tokens(navsim_files: Path) -> None:
    tokens = read_filter(navsim_files / "scene_filter" / "navtest.yaml").tokens
    assert len(tokens) == 12_146
    assert fingerprint("tokens", sorted(tokens)) == SPLIT_HASHES["navtest"]


def test_rows_of_the_protocol_and_no_others(navtest: TableMeta) -> None:
    found = choose_published(None, {"pdms_v1": navtest, "epdms_v2": navtest})
    assert {row.protocol for row in found["pdms_v1"]} == {"pdms_v1"}
    assert {row.protocol for row in found["epdms_v2"]} == {"epdms_v2"}
    assert sum(len(rows) for rows in found.values()) == sum(
        row.protocol in ("pdms_v1", "epdms_v2") for row in published_rows()
    )


def test_by_name(navtest: TableMeta) -> None:
    found = choose_published(["Hydra-MDP++"], {"pdms_v1": navtest})
    assert [row.inputs for row in found["pdms_v1"]] == ["R34, C only", "V2-99, C"]
    assert choose_published([], {"pdms_v1": navtest}) == {"pdms_v1": ()}


@pytest.mark.parametrize(
    ("method", "name", "facts", "error"),
    [
        ("LAW", "epdms_v2", {}, "its score is of pdms_v1, the tables are of epdms_v2"),
        ("LAW", "pdms_v1", {"split_hash": "0" * 16}, r"are those of navtest, the tables are of split navtest \(0000"),
        ("LAW", "pdms_v1", {"missing": 1}, "1 scenes of navtest are missing"),
        ("WA-JEPA", "epdms_v2", {"traffic": "reactive"}, "that of the tables reactive"),
        ("WA-JEPA", "epdms_v2", {"human_filter": "off"}, "human_filter=off"),
        ("WA-JEPA", "epdms_v2", {"extended_comfort": False}, "without extended comfort"),
        ("TransFusser", "pdms_v1", {}, r"no method 'TransFusser'.*TransFuser"),
    ],
)
def test_refused(navtest: TableMeta, method: str, name: str, facts: dict[str, object], error: str) -> None:
    meta = replace(navtest, **facts)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=error):
        choose_published([method], {name: meta})
    if method != "TransFusser":
        assert all(row.method != method for row in choose_published(None, {name: meta})[name])

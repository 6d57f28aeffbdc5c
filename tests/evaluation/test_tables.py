"""A score table survives the disk unchanged, and a wrong one is neither written nor read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from navforge.core.errors import DataError
from navforge.evaluation import tables
from navforge.evaluation.tables import ScoreTable, schema

MakeTable = Callable[..., ScoreTable]


def test_round_trip(tmp_path: Path, make_table: MakeTable) -> None:
    table = make_table(("pdms_v1", "epdms_v2"), agent="human", checkpoint="0" * 16)
    tables.write(tmp_path / "t.parquet", table)
    again = tables.read(tmp_path / "t.parquet")
    assert again.meta == table.meta
    keys = ["protocol", "log_name", "token", "index"]
    assert again.frame.equals(table.frame.sort(keys))


def test_columns_of_each_protocol_are_the_devkits() -> None:
    assert list(schema(("pdms_v1",)))[5:] == [
        "no_at_fault_collisions",
        "drivable_area_compliance",
        "ego_progress",
        "time_to_collision_within_bound",
        "comfort",
        "driving_direction_compliance",
        "progress_m",
        "score",
    ]
    assert list(schema(("epdms_v2",)))[5:] == [
        "no_at_fault_collisions",
        "drivable_area_compliance",
        "driving_direction_compliance",
        "traffic_light_compliance",
        "ego_progress",
        "time_to_collision_within_bound",
        "lane_keeping",
        "history_comfort",
        "two_frame_extended_comfort",
        "progress_m",
        "score",
    ]
    assert set(schema(("pdms_v1", "epdms_v2"))) == set(schema(("pdms_v1",))) | set(schema(("epdms_v2",)))


def test_one_protocol_of_several(make_table: MakeTable) -> None:
    table = make_table(("pdms_v1", "epdms_v2"))
    assert table.of("pdms_v1").columns == list(schema(("pdms_v1",)))
    assert table.frame.filter(pl.col("protocol") == "pdms_v1")["lane_keeping"].null_count() == 12
    with pytest.raises(DataError, match="pdms_v1, epdms_v2, not epdms_v2_before_fix"):
        table.of("epdms_v2_before_fix")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.with_columns(ego_progress=pl.lit(float("nan"))), "ego_progress is nan for token"),
        (lambda f: f.with_columns(score=pl.lit(1.5)), "score is 1.5"),
        (lambda f: f.with_columns(progress_m=pl.lit(float("inf"))), "progress_m is inf"),
        (lambda f: f.with_columns(score=pl.lit(None, pl.Float64)), "empty cells in score"),
        (lambda f: f.drop("lane_keeping"), "expected"),
        (lambda f: f.with_columns(pl.col("index").cast(pl.Int64)), "expected"),
        (lambda f: pl.concat([f, f.head(1)]), "repeats rows of token"),
        (lambda f: f.head(5), "rows of .5. scenes, its metadata says 12"),
        (lambda f: f.with_columns(protocol=pl.lit("pdms_v1")), "disagree about protocol"),
    ],
)
def test_a_wrong_table_is_not_written(tmp_path: Path, make_table: MakeTable, change, message: str) -> None:  # type: ignore[no-untyped-def]
    table = make_table()
    with pytest.raises(DataError, match=message):
        tables.write(tmp_path / "t.parquet", ScoreTable(change(table.frame), table.meta))
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_score_tables(tmp_path: Path, make_table: MakeTable) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(DataError, match=r"score table .* not found"):
        tables.read(path)
    path.write_text("text")
    with pytest.raises(DataError, match="not a readable Parquet"):
        tables.read(path)
    pl.DataFrame({"token": ["a"]}).write_parquet(path)
    with pytest.raises(DataError, match="footer has no key"):
        tables.read(path)
    tables.write(path, make_table())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a readable Parquet"):
        tables.read(path)


def test_footer_of_another_version_or_damaged(tmp_path: Path, make_table: MakeTable) -> None:
    path, table = tmp_path / "t.parquet", make_table()
    tables.write(path, ScoreTable(table.frame, dataclasses.replace(table.meta, format=99)))
    with pytest.raises(DataError, match="table format 99"):
        tables.read(path)
    form = f'"format": {tables.FORMAT}'
    for footer in ("{", f"{{{form}}}", f'{{{form}, "protocols": ["epdms_v2"], "colour": "red"}}'):
        table.frame.write_parquet(path, metadata={tables.FOOTER_KEY: footer})
        with pytest.raises(DataError, match="damaged"):
            tables.read(path)


def test_no_flipped_bit_is_read_as_a_result(tmp_path: Path, make_table: MakeTable) -> None:
    """Every change of the file is refused, or leaves every cell and all metadata as they were."""
    path, table = tmp_path / "t.parquet", make_table()
    tables.write(path, table)
    whole, content = tables.read(path), path.read_bytes()
    chance = np.random.default_rng(0)
    refused = 0
    for position in chance.choice(len(content), 300, replace=False):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(chance.integers(8))
        path.write_bytes(damaged)
        try:
            again = tables.read(path)
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert again.frame.equals(whole.frame) and again.meta == whole.meta
    assert refused > 100


def test_another_cell_or_another_agent_in_the_file_is_noticed(tmp_path: Path, make_table: MakeTable) -> None:
    path, table = tmp_path / "t.parquet", make_table()
    tables.write(path, table)
    metadata = pl.read_parquet_metadata(path)
    frame = pl.read_parquet(path)
    keys = (tables.FOOTER_KEY, tables.CHECKSUM_KEY)
    written = {key: metadata[key] for key in keys}
    frame.with_columns(log_name=pl.lit("another")).write_parquet(path, metadata=written)
    with pytest.raises(DataError, match="damaged: its rows do not have the checksum"):
        tables.read(path)
    other = json.dumps({**json.loads(written[tables.FOOTER_KEY]), "agent": "another"})
    frame.write_parquet(path, metadata={**written, tables.FOOTER_KEY: other})
    with pytest.raises(DataError, match="damaged"):
        tables.read(path)
    frame.write_parquet(path, metadata=written)
    assert tables.read(path).meta == table.meta


def test_rows_edited_behind_the_metadata_are_noticed(tmp_path: Path, make_table: MakeTable) -> None:
    path, table = tmp_path / "t.parquet", make_table()
    tables.write(path, table)
    footer = pl.read_parquet_metadata(path)[tables.FOOTER_KEY]
    table.frame.filter(pl.col("log_name") != "log0").write_parquet(path, metadata={tables.FOOTER_KEY: footer})
    with pytest.raises(DataError, match=r"rows of .8. scenes, its metadata says 12"):
        tables.read(path)


def test_missing_scenes_are_said(make_table: MakeTable) -> None:
    meta = make_table().meta
    assert meta.complete
    assert meta.coverage() == "12 scenes of split tiny (0123456789abcdef), traffic log_replay"
    partial = dataclasses.replace(meta, missing=3, missing_hash="f" * 16)
    assert not partial.complete
    assert partial.coverage().startswith("9 of 12 scenes of split tiny")
    assert "3 scenes (list ffffffffffffffff) MISSING" in partial.coverage()
    assert not dataclasses.replace(meta, missing_logs=1).complete


def test_missing_hash_ignores_order() -> None:
    assert tables.missing_hash([]) is None
    assert tables.missing_hash(["a", "b"]) == tables.missing_hash(["b", "a"]) != tables.missing_hash(["a"])


def test_metrics_are_read_beside_their_own_table_alone(tmp_path: Path, make_table: MakeTable) -> None:
    """Two commands that write to one place at once may leave the table of one and the metrics of the other."""
    for name, agent in (("a", "human"), ("b", "stop")):
        table = make_table()
        metrics = table.frame.select(tables.METRIC_KEYS).unique().with_columns(ade_m=pl.lit(1.5))
        table = ScoreTable(table.frame, dataclasses.replace(table.meta, agent=agent), metrics)
        tables.write(tmp_path / f"{name}.parquet", table)
        tables.write_metrics(tmp_path / f"{name}.parquet", table)
        assert metrics.equals(tables.read_evaluation(tmp_path / f"{name}.parquet").metrics)
    (tmp_path / "b.metrics.parquet").replace(tmp_path / "a.metrics.parquet")
    with pytest.raises(DataError, match="measured of other plans than those of"):
        tables.read_evaluation(tmp_path / "a.parquet")


def test_no_flipped_bit_is_read_as_a_metric(tmp_path: Path, make_table: MakeTable) -> None:
    table = make_table()
    metrics = table.frame.select(tables.METRIC_KEYS).unique(maintain_order=True).with_row_index("ade_m")
    table = dataclasses.replace(table, metrics=metrics.cast({"ade_m": pl.Float64}).select(*tables.METRIC_KEYS, "ade_m"))
    tables.write(tmp_path / "t.parquet", table)
    path = tables.write_metrics(tmp_path / "t.parquet", table)
    content, chance, refused = path.read_bytes(), np.random.default_rng(1), 0
    for position in chance.choice(len(content), 200, replace=False):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(chance.integers(8))
        path.write_bytes(damaged)
        try:
            again = tables.read_evaluation(tmp_path / "t.parquet").metrics
        except DataError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert table.metrics is not None and table.metrics.equals(again)
    assert refused > 60

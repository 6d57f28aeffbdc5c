"""Result tables of the devkit."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from navforge.core.errors import ConfigError, DataError
from navforge.evaluation import official

HEAD = ",token,valid,no_at_fault_collisions,two_frame_extended_comfort,score\n"
ROWS = "0,aa,True,1.0,,0.5\n1,bb,True,0.5,1.0,0.25\n2,average_all_frames,True,0.75,1.0,0.375\n"


def saved(folder: Path, text: str) -> Path:
    (folder / "official.csv").write_text(text)
    return folder / "official.csv"


def test_rows_and_means(tmp_path: Path) -> None:
    table = official.read_official(saved(tmp_path, HEAD + ROWS))
    assert table.means == {"no_at_fault_collisions": 0.75, "two_frame_extended_comfort": 1.0, "score": 0.375}
    assert table.rows["token"].to_list() == ["aa", "bb"]
    assert table.rows["two_frame_extended_comfort"].to_list() == [None, 1.0]
    assert table.fits(("no_at_fault_collisions",))
    assert not table.fits(("comfort",))


def test_disagreements_are_named(tmp_path: Path) -> None:
    table = official.read_official(saved(tmp_path, HEAD + ROWS))
    ours = pl.DataFrame(
        {
            "token": ["bb", "aa"],
            "no_at_fault_collisions": [0.5, 1.0],
            "two_frame_extended_comfort": [1.0, 0.0],
            "score": [0.25005, 0.51],
        }
    )
    cells = official.disagreements(ours, table).rows()
    assert cells == [("aa", "score", 0.51, 0.5), ("aa", "two_frame_extended_comfort", 0.0, None)]
    with pytest.raises(DataError, match="2 scenes, ours 1, 1 of them the same"):
        official.disagreements(ours.head(1), table)


def test_a_table_stands_beside_one_protocol(tmp_path: Path) -> None:
    table = official.read_official(saved(tmp_path, HEAD + ROWS))
    fits, other = ("no_at_fault_collisions",), ("comfort",)
    assert official.matching_protocol(table, {"pdms_v1": other, "epdms_v2": fits}) == "epdms_v2"
    with pytest.raises(ConfigError, match="columns of epdms_v2 and epdms_v2_before_fix"):
        official.matching_protocol(table, {"epdms_v2": fits, "pdms_v1": other, "epdms_v2_before_fix": fits})
    with pytest.raises(DataError, match="none of the protocols pdms_v1, other"):
        official.matching_protocol(table, {"pdms_v1": other, "other": other})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "is not a result table"),
        (HEAD + ROWS.replace("average_all_frames", "cc"), "0 average rows"),
        (HEAD + ROWS.replace("1,bb,True", "1,bb,False"), "holds scenes that failed"),
        ("", "not a readable CSV"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        official.read_official(saved(tmp_path, text))


def test_real_tables_average_their_own_rows(realdata: Path) -> None:
    for path in sorted((realdata / "golden").glob("*/official_*.csv")):
        table = official.read_official(path)
        assert table.rows.height == 38
        for name, mean in table.means.items():
            assert table.rows[name].mean() == pytest.approx(mean, abs=1e-12), (path.name, name)

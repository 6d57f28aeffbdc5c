"""Result tables of the official devkit (CSV), to stand beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from navforge.core.errors import ConfigError, DataError

_AVERAGES = ("average", "average_all_frames")


@dataclass(frozen=True)
class OfficialTable:
    """What `run_pdm_score` (v1.1) or `run_pdm_score_one_stage` (v2) wrote."""

    rows: pl.DataFrame
    """One per scene: `token` and score columns; null where undefined."""
    means: dict[str, float]
    """The file's own average row."""

    def fits(self, columns: tuple[str, ...]) -> bool:
        """Whether the file has the sub-scores of a protocol."""
        return set(columns) <= set(self.means)


def matching_protocol(table: OfficialTable, protocols: Mapping[str, tuple[str, ...]]) -> str:
    """Name of the one protocol, of these with their sub-score columns, that the table has the columns of.

    Raises:
        DataError: it fits none.
        ConfigError: it fits several; a table does not say by which of them it was scored.
    """
    fitting = [name for name, columns in protocols.items() if table.fits(columns)]
    if not fitting:
        raise DataError(f"the official table has the columns of none of the protocols {', '.join(protocols)}")
    if len(fitting) > 1:
        raise ConfigError(
            f"protocol: the official table has the columns of {' and '.join(fitting)} and cannot be compared with "
            "each; give protocol= the one of them it was scored by"
        )
    return fitting[0]


def read_official(path: Path | str) -> OfficialTable:
    """Read a devkit result table.

    Raises:
        DataError: not such a file, no or several average rows, or a scene the devkit failed on.
    """
    path = Path(path)
    try:
        frame = pl.read_csv(path, infer_schema_length=None)
    except (PolarsError, OSError) as error:
        raise DataError(f"official={path} is not a readable CSV file: {error}") from error
    if not {"token", "valid", "score"} <= set(frame.columns):
        raise DataError(f"official={path} is not a result table of the devkit: token, valid or score is missing")
    average = frame.filter(pl.col("token").is_in(_AVERAGES))
    rows = frame.filter(~pl.col("token").is_in(_AVERAGES))
    if average.height != 1:
        raise DataError(f"official={path} has {average.height} average rows, expected one")
    if not rows["valid"].cast(pl.String).str.to_lowercase().eq("true").all():
        raise DataError(f"official={path} holds scenes that failed (valid = False); its average is not a score")
    columns = [name for name in frame.columns if name not in ("", "token", "valid")]
    rows = rows.select("token", *(pl.col(name).cast(pl.Float64).fill_nan(None) for name in columns))
    return OfficialTable(rows, {name: float(average[name][0]) for name in columns if average[name][0] is not None})


def disagreements(ours: pl.DataFrame, official: OfficialTable, tolerance: float = 1e-4) -> pl.DataFrame:
    """Cells (token, column, ours, official) that differ by more than `tolerance`, or are defined on one side only.

    Raises:
        DataError: the two tables do not score the same scenes.
    """
    if set(ours["token"]) != set(official.rows["token"]):
        shared = len(set(ours["token"]) & set(official.rows["token"]))
        raise DataError(
            f"the official table has {official.rows.height} scenes, ours {ours.height}, {shared} of them the same"
        )
    columns = [name for name in official.means if name in ours.columns]
    long = {"index": ["token"], "on": columns, "variable_name": "column"}
    mine = ours.unpivot(**long, value_name="ours")
    theirs = official.rows.unpivot(**long, value_name="official")
    both = mine.join(theirs, on=["token", "column"], how="inner")
    apart = (pl.col("ours") - pl.col("official")).abs() > tolerance
    one_sided = pl.col("ours").is_null() != pl.col("official").is_null()
    return both.filter(apart.fill_null(False) | one_sided).sort("token", "column")

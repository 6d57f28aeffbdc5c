"""Durations as Slurm writes and reads them."""

from __future__ import annotations

import pytest

from navforge.core.errors import ConfigError
from navforge.slurm import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("1:30", 90), ("2:00:00", 7200), ("2-12", 216000), ("1-00:30", 88200), ("2-00:00:01", 172801)],
)
def test_every_form_of_sbatch(text: str, seconds: int) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(("text", "seconds"), [("0:05", 5), ("12:34", 754), ("1:00:00", 3600), ("3-01:00:00", 262800)])
def test_elapsed_times(text: str, seconds: int) -> None:
    assert durations.parse_elapsed(text) == seconds


@pytest.mark.parametrize("seconds", [0, 59, 3600, 86399, 86400, 262861])
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert durations.parse(durations.write(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "2h", "1:2:3:4", "-5", "1-", "1.5", "NOT_SET"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a duration"):
        durations.parse(text)


def test_unlimited() -> None:
    assert durations.parse("UNLIMITED") is None

"""Disk space and time limits by numbers one can check by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from navforge.preflight.disk import check_disk, check_writable, checkpoint_bytes, existing_folder
from navforge.preflight.duration import Pace, check_time, epoch_s, hours
from navforge.preflight.estimate import Estimate
from navforge.preflight.finding import OK, REFUSED, WARNING

GIB = 1 << 30


def test_checkpoints_against_free_space(tmp_path: Path) -> None:
    size = checkpoint_bytes(state_bytes=400_001_000, trainable=100_000_000)
    assert size == 12 * 100_000_000 + 1000
    (fits,) = check_disk(size, 1, 10 * GIB, tmp_path)
    (full,) = check_disk(size, 1, 4 * GIB, tmp_path)
    (many,) = check_disk(size, 9, 10 * GIB, tmp_path)
    assert (fits.level, full.level, many.level) == (OK, REFUSED, REFUSED)
    assert "4 checkpoints of 1.1 GiB" in full.message and "out=" in full.remedy


def test_a_folder_that_does_not_exist_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    assert existing_folder(tmp_path / "a" / "b") == tmp_path
    (found,) = check_writable(tmp_path / "a" / "b")
    assert found.level == OK and list(tmp_path.iterdir()) == []


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    (found,) = check_writable(tmp_path / "run" / "x")
    assert found.level == REFUSED and "file where a folder" in found.message


def test_a_file_system_that_takes_nothing() -> None:
    (found,) = check_writable(Path("/proc/navforge/run"))
    assert found.level == REFUSED and "cannot be written" in found.message


HOUR = Estimate(3600, 3000, 4500)
PACE = Pace(step_s=0.5, batch_size=16, loader_examples_per_s=64.0, device="GPU")


def test_an_epoch_takes_the_slower_of_step_and_loading() -> None:
    assert PACE.batch_s == 0.5
    assert epoch_s(PACE, scenes=1600, val_scenes=0, ranks=4) == pytest.approx(25 * 0.5)
    slow = Pace(step_s=0.1, batch_size=16, loader_examples_per_s=16.0, device="GPU")
    assert epoch_s(slow, scenes=1600, val_scenes=0, ranks=4) == pytest.approx(25 * 1.0)
    assert epoch_s(PACE, 1600, 160, 1) == pytest.approx(100 * 0.5 + 10 * 0.25)
    quick = Pace(step_s=0.6, batch_size=16, loader_examples_per_s=1e6, device="GPU")
    assert epoch_s(quick, 1600, 160, 1) == pytest.approx(100 * 0.6 + 10 * 0.2), "validation has no backward pass"


def test_a_batch_of_validation_takes_a_third_of_the_step() -> None:
    """Where loading is faster than that."""
    pace = Pace(step_s=0.6, batch_size=16, loader_examples_per_s=1600.0, device="GPU")
    assert epoch_s(pace, 1600, 160, 1) == pytest.approx(100 * 0.6 + 10 * 0.2)


@pytest.mark.parametrize(
    ("duration", "limit_s", "requeue", "same", "level", "says"),
    [
        (HOUR, 4500, False, True, OK, "60 min (50 min to 75 min), by steps measured on CPU of 75 min"),
        (HOUR, None, False, True, OK, "60 min (50 min"),
        (HOUR, 4499, False, True, WARNING, "may be killed before it ends"),
        (HOUR, 3000, False, True, WARNING, "may be killed before it ends"),
        (HOUR, 2999, False, True, REFUSED, "would be killed before it ends"),
        (HOUR, 1700, True, True, WARNING, "about 2 times"),
        (HOUR, 1700, False, False, WARNING, "duration unknown"),
        (None, 3600, False, True, WARNING, "duration unknown"),
    ],
)
def test_time_limits(
    duration: Estimate | None, limit_s: int | None, requeue: bool, same: bool, level: str, says: str
) -> None:
    (found,) = check_time(duration, limit_s, requeue=requeue, measured_on="CPU", target="l40s", same=same)
    assert found.level == level and says in found.message


def test_durations_in_words() -> None:
    assert [hours(s) for s in (5, 119, 130, 7199, 7200)] == ["5 s", "119 s", "2 min", "120 min", "2.0 h"]

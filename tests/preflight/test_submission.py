"""The preflight as a whole: a sound run on tiny town, and jobs a real Slurm would never start."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from navforge.core.errors import ConfigError
from navforge.preflight import submission
from navforge.preflight.finding import REFUSED, WARNING, Report, ok, refused
from navforge.preflight.ranks import check_srun
from navforge.preflight.record import FILE, read_record
from navforge.preflight.script import read_script
from navforge.preflight.table import show
from navforge.slurm import client
from navforge.slurm.profile import read_profile
from navforge.training.run_config import RunConfig
from tests.slurm_cluster.cluster import Cluster

from .conftest import town_data

PROFILE = read_profile("l40s_4x4")


def test_a_sound_run_passes_and_auto_becomes_numbers(
    tiny_town: Path, town_files: dict[str, Path], make_config: Callable[..., RunConfig]
) -> None:
    config = make_config(
        data=town_data(tiny_town), cache=town_files["cache"], batch_size=None, loader_workers=None, accelerator="auto"
    )
    report = submission.run(config, record=True, seconds=500)
    report.require()
    assert report.config is not None
    train = report.config.train
    assert train.batch_size is not None and train.batch_size >= 1 and train.loader_workers is not None
    assert replace(train, batch_size=None, loader_workers=None) == config.train
    assert report.figures["batch_size"] == train.batch_size and report.figures["host_bytes"] > 1 << 27
    low, high = report.figures["duration_range_s"]
    assert 0 < low <= report.figures["duration_s"] <= high
    assert report.figures["epoch_s"] > 0 and report.figures["measured_on"]
    checks = {finding.check for finding in report.findings}
    assert {"split", "cache", "planner", "evaluation", "loading", "step", "host_memory", "disk", "numerics"} <= checks
    record = read_record(config.out)
    assert record.loader is not None and record.step is not None and record.step.samples
    assert json.loads((config.out / FILE).read_text())["refused"] is False


def test_what_is_missing_is_said_all_at_once_and_nothing_is_written(make_config: Callable[..., RunConfig]) -> None:
    config = make_config(cache=Path("/nowhere"))
    report = submission.run(config, record=True)
    assert {"split", "cache", "paths"} <= {finding.check for finding in report.refused}
    assert all(finding.remedy for finding in report.refused)
    assert not config.out.exists()
    accepted = submission.run(config, force=["paths"])
    assert "paths" not in {finding.check for finding in accepted.refused}


def test_only_checks_that_exist_can_be_accepted(make_config: Callable[..., RunConfig]) -> None:
    with pytest.raises(ConfigError, match=r"no check is called 'gpu'.*gpus"):
        submission.run(make_config(), force=["gpu"])


@pytest.mark.parametrize(
    ("wanted", "on_gpu", "away", "sizes"),
    [
        (16, True, False, (2, 4, 16)),
        (1, False, False, (1,)),
        (2, False, False, (1, 2)),
        (None, False, False, (2, 4, 8, 16, 32)),
        (None, True, False, (2, 4, 8, 16, 32, 64, 128, 256)),
        (64, False, True, (2,)),
    ],
)
def test_batch_sizes_that_are_tried(wanted: int | None, on_gpu: bool, away: bool, sizes: tuple[int, ...]) -> None:
    assert submission.batch_sizes(wanted, on_gpu=on_gpu, away=away) == sizes


@pytest.mark.parametrize("width", [60, 100, 160])
def test_the_table_shows_every_finding_with_its_remedy(width: int) -> None:
    report = Report(
        (ok("tasks", "8 tasks"), refused("gpus", "1 GPU per node for 8 ranks", "#SBATCH --gres=gpu:8")),
        {"ranks": 8, "host_bytes": 3 << 30, "epoch_s": 7200.0, "epoch_range_s": [7000.0, 9000.0], "preflight_s": 12.0},
    )
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    show(report, console)
    text = console.export_text()
    assert "-> #SBATCH --gres=gpu:8" in text and "refused by 1 check (12 s)" in text
    assert "3.0 GiB" in text and "2.0 h (117 min to 2.5 h)" in text and max(map(len, text.splitlines())) <= width


def test_a_real_cluster_says_what_it_would_never_start(slurm: Cluster, make_config: Callable[..., RunConfig]) -> None:
    def refusal(**changes: object) -> tuple[str, str]:
        profile = replace(PROFILE, **changes)  # type: ignore[arg-type]
        report = submission.run(make_config(nodes=2, devices=4, accelerator="auto"), profile=profile)
        found = [finding for finding in report.findings if finding.check == "partition"]
        return found[0].level, found[0].message + " -> " + found[0].remedy

    assert refusal()[0] == "ok"
    level, text = refusal(partition="l40s_publik")
    assert level == REFUSED and "no partition 'l40s_publik'" in text and "partition=l40s_public" in text
    level, text = refusal(time_limit="3-00:00:00")
    assert level == REFUSED and "PartitionTimeLimit" in text and "2-00:00:00" in text
    level, text = refusal(gpu_type="h200")
    assert level == REFUSED and "0 GPUs of type h200" in text
    slurm.call("scontrol", "update", "nodename=gl00[1-3]", "state=drain", "reason=test")
    level, text = refusal()
    assert level == WARNING and "1 of 2 nodes can be used now" in text


def test_ranks_without_srun_end_by_themselves_on_a_real_cluster(slurm: Cluster, tmp_path: Path) -> None:
    """The launch that used to hang until its time limit: four tasks, one process."""
    script, log = tmp_path / "job.sbatch", tmp_path / "job.log"
    script.write_text(
        "#!/bin/bash\n#SBATCH --nodes=2 --ntasks-per-node=2 --gres=gpu:l40s:2 --mem=2G --time=10\n"
        f"#SBATCH --output={log}\n{sys.executable} -m navforge rank {tmp_path / 'run'}\n"
    )
    job = client.submit(script)
    slurm.wait(job, "FAILED")
    assert "started without srun" in log.read_text()
    assert "srun" in {finding.check for finding in _checked(script).refused}, "and it is refused before submission"


def _checked(script: Path) -> Report:
    job = read_script(script).allocation
    return Report(tuple(check_srun(job)))

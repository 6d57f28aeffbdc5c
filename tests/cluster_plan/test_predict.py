"""Speeds are recorded, scaled from what is recorded, or unknown; never invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from navforge.cli.keys.cluster_plan import configure
from navforge.cluster_plan.plan import Work, training_s
from navforge.cluster_plan.predict import Rate, Shape, predict
from navforge.cluster_plan.queue import Slurm, place
from navforge.cluster_plan.speeds import Speed, of_report, read_records, setting, without_same_setting
from navforge.core.device import same_kind
from navforge.core.errors import ConfigError, DataError
from navforge.preflight import partition
from navforge.preflight.estimate import Estimate
from navforge.preflight.partition import Cluster
from navforge.slurm import client
from navforge.slurm.output import parse_expected_start
from navforge.slurm.profile import read_profile
from navforge.training.run_config import run_config_to_dict
from tests.cluster_plan.made import H200, L40S, plan_of, record_run

OWN, OTHER = {"planner": 1}, {"planner": 2}


def speed(device: str, nodes: int, devices: int, value: float, own: dict[str, Any] = OWN) -> Speed:
    rate = Estimate(value, 0.9 * value, 1.1 * value)
    return Speed(
        title="p", setting=own, device=device, nodes=nodes, devices=devices, samples_per_s=rate, source=Path("runs/a")
    )


def ends(rate: Rate) -> list[float]:
    assert rate.samples_per_s is not None
    return [rate.samples_per_s.value, rate.samples_per_s.low, rate.samples_per_s.high]


def test_recorded_speeds_are_taken_as_they_are() -> None:
    speeds = [speed(L40S, 2, 4, 100.0), speed(L40S, 2, 4, 120.0), speed(L40S, 4, 4, 150.0), speed(H200, 1, 8, 9.0)]
    rate = predict("l40s", Shape(2, 4), speeds, OWN)
    assert ends(rate) == pytest.approx([110.0, 90.0, 132.0]) and rate.basis == "recorded (2 starts)"


def test_more_ranks_than_recorded_range_from_no_gain_to_proportion() -> None:
    rate = predict("l40s", Shape(4, 4), [speed(L40S, 1, 1, 10.0)], OWN)
    assert ends(rate) == pytest.approx([160.0, 9.0, 16 * 11.0])
    assert rate.basis == "scaled from 1 rank, in proportion at best"
    between = predict("l40s", Shape(1, 4), [speed(L40S, 1, 2, 20.0), speed(L40S, 2, 3, 40.0)], OWN)
    assert ends(between)[0] == pytest.approx(30.0) and between.basis == "scaled from 2 and 6 ranks"


def test_ranks_scale_as_they_did_elsewhere() -> None:
    others = [speed(L40S, 1, 1, 50.0, OTHER), speed(L40S, 4, 4, 400.0, OTHER)]
    rate = predict("l40s", Shape(4, 4), [speed(L40S, 1, 1, 10.0), *others], OWN)
    assert ends(rate) == pytest.approx([80.0, 72.0, 88.0])
    assert rate.basis == "scaled from 1 rank by 8.0, as 1 other record scaled"


def test_another_kind_counts_by_the_ratio_that_other_runs_show() -> None:
    speeds = [speed(H200, 1, 8, 100.0)]
    assert predict("l40s", Shape(1, 8), speeds, OWN) == Rate(None, "unknown")
    speeds += [speed(H200, 1, 1, 50.0, OTHER), speed(L40S, 1, 1, 40.0, OTHER)]
    rate = predict("l40s", Shape(1, 8), speeds, OWN)
    assert rate.basis == "scaled from NVIDIA H200 by 0.80, the ratio of 1 other setting"
    assert ends(rate) == pytest.approx([80.0, 90 * 0.8 * 0.85, 110 * 0.8 * 1.15])


def test_a_speed_on_cpus_says_nothing_of_gpus() -> None:
    speeds = [speed("CPU", 1, 1, 1.0), speed("CPU", 1, 1, 1.0, OTHER), speed(L40S, 1, 1, 9.0, OTHER)]
    assert predict("l40s", Shape(1, 1), speeds, OWN) == Rate(None, "unknown")


@pytest.mark.parametrize(
    ("device", "kind", "same"),
    [
        ("NVIDIA L40S", "l40s", True),
        ("NVIDIA L40S", "l40", False),
        ("NVIDIA A100-SXM4-80GB", "a100", True),
        ("NVIDIA RTX A6000", "rtx_a6000", True),
        ("NVIDIA H100 PCIe", "h200", False),
    ],
)
def test_kinds_of_gpus(device: str, kind: str, same: bool) -> None:
    assert same_kind(device, kind) == same


def test_records_of_run_folders(tmp_path: Path) -> None:
    config = plan_of(tmp_path / "town")
    root = tmp_path / "runs"
    record_run(root / "a", config, L40S, 2, 4, 10.0, 20.0, 30.0)
    record_run(root / "b", plan_of(tmp_path / "town", "train.precision=bf16-mixed"), L40S, 1, 1, 5.0)
    record_run(root / "before", config, None, 1, 1, 7.0)  # by a version that did not note the device
    record_run(root / "short", config, L40S, 1, 1)
    broken = record_run(root / "broken", config, L40S, 1, 1, 3.0)
    broken.config.write_text("no: config\n")
    records = read_records(root)
    assert [(s.nodes, s.devices, s.samples_per_s.value) for s in records.speeds] == [(2, 4, 20.0), (1, 1, 5.0)]
    assert 0 < records.speeds[0].samples_per_s.low <= 0.85 * 20 and records.speeds[0].samples_per_s.high >= 1.15 * 20
    assert len(records.unused) == 1 and "broken" in records.unused[0]
    (reason,) = without_same_setting(records, config.run)
    assert reason == f"{root / 'b'}: differs in train.precision (bf16-mixed -> 32-true)"


def test_reports_of_preflights(tmp_path: Path) -> None:
    config = plan_of(tmp_path / "town").run
    figures = {"rank_samples_per_s": 8.0, "rank_samples_per_s_range": [6.0, 9.0], "measured_on": H200}
    report = {"figures": figures, "run": run_config_to_dict(config)}
    (found,) = of_report(report, Path("f.json"))
    assert (found.device, found.ranks, found.samples_per_s) == (H200, 1, Estimate(8.0, 6.0, 9.0))
    assert found.setting == setting(config)
    assert not list(of_report({"figures": {}}, Path("f.json"))) and not list(of_report([1], Path("f.json")))
    for wrong in ({**figures, "rank_samples_per_s": 99.0}, {**figures, "rank_samples_per_s_range": ["x", 1]}):
        with pytest.raises(DataError, match=r"f\.json: .*run navforge preflight again"):
            list(of_report({**report, "figures": wrong}, Path("f.json")))


def test_time_of_all_epochs(tmp_path: Path) -> None:
    run = plan_of(tmp_path / "town", "train.epochs=3", "train.batch_size=4").run
    seconds = training_s(Work(config=run, scenes=80, val_scenes=24), Shape(1, 2), Estimate(8.0, 4.0, 16.0))
    assert seconds == Estimate(3 * (10 * 1.0 + 3 * 1.0 / 3), 3 * (10 * 0.5 + 3 * 0.5 / 3), 3 * (10 * 2.0 + 3 * 2.0 / 3))


def test_without_slurm_the_wait_is_unknown(tmp_path: Path) -> None:
    there = place(plan_of(tmp_path / "town").run, read_profile("l40s_4x4"), Shape(2, 4), "no such command", 0.0)
    assert (there.wait_s, there.refusal, there.notes) == (None, None, ("wait unknown: no such command",))


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (client.SlurmUnreachableError("sbatch: no answer within 60 s"), False),
        (client.SlurmError("sbatch failed: Requested node configuration is not available"), True),
    ],
)
def test_a_silent_controller_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, refused: bool
) -> None:
    def answer(script: Path) -> str:
        raise error

    monkeypatch.setattr(client, "expected_start", answer)
    monkeypatch.setattr(partition, "check_partition", lambda *_: ())
    slurm = Slurm(cluster=Cluster((), ()), queue=())
    there = place(plan_of(tmp_path / "town").run, read_profile("l40s_4x4"), Shape(2, 4), slurm, 0.0)
    assert there.wait_s is None and (there.refusal == str(error)) is refused
    assert (there.notes == (f"wait unknown: {error}",)) is not refused


def test_what_sbatch_says_of_a_start() -> None:
    said = "sbatch: Job 3230 to start at 2026-11-28T16:31:56 using 8 processors on nodes gh001 in partition h200\n"
    assert parse_expected_start(said) == "2026-11-28T16:31:56"
    assert parse_expected_start("sbatch: Job 3 to start at N/A") is None


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nodes=2", "nodes: is what the plan is about"),
        ("cluster=l40s_4x4", "cluster: is what the plan is about"),
        ("shapes=[4by4]", "expected NODESxRANKS such as 2x4, got '4by4'"),
        ("train.batch_size=auto", "speeds hold for one batch size"),
    ],
)
def test_keys(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(["agent=ego_mlp", "split=s", "out=o", "cache=c", word])

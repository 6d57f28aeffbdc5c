"""A study on made-up tables: two encoders, three numbers of labels, three seeds; and what may be missing of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl

from navforge.data.label_subsets import LabelFacts
from navforge.evaluation import tables
from navforge.evaluation.tables import ScoreTable
from navforge.runs.folder import RunFolder
from navforge.studies.results import Cell, Comparison, StudyResults
from tests.evaluation.made import noisy_planner, small_table

SEEDS = (0, 1, 2)
LABELS = {"10": 60, "25": 150, "100": 600}
GAINS = {"scratch": {"10": 0.0, "25": 0.06, "100": 0.15}, "frozen": {"10": 0.09, "25": 0.13, "100": 0.16}}


def study(folder: Path, *, absent: str | None = None) -> StudyResults:
    """Written below `folder`; of a cell that is absent the last seed has no evaluation."""
    cells = []
    for encoder, gains in GAINS.items():
        for level, gain in gains.items():
            name = f"{encoder}, {level}"
            found = noisy_planner(name, gain).tables
            runs, evaluations = [], []
            for seed, table in enumerate(found):
                run = folder / "runs" / f"{encoder}-{level}-{seed}"
                finish(run, seconds=36.0 * LABELS[level] * (1 if encoder == "frozen" else 3))
                evaluation = run / "evaluation"
                write_evaluation(evaluation, with_labels(measured(table, seed), level))
                runs.append(run)
                evaluations.append(evaluation)
            whole = name != absent
            cells.append(
                Cell(
                    name=name,
                    levels={"encoder": encoder, "labels": level},
                    seeds=SEEDS,
                    runs=tuple(runs),
                    evaluations={"test": tuple(evaluations)} if whole else {},
                    missing=() if whole else ("evaluation of seed 2 on test: run failed (disk_full)",),
                )
            )
    stop = small_table(
        logs=20, scenes_per_log=6, score=lambda log, scene: 0.3 * (scene % 2), agent="stop", trajectories="stop"
    )
    write_evaluation(folder / "stop", stop)
    comparisons = tuple(
        Comparison(name=f"encoder at {level}", first=f"frozen, {level}", second=f"scratch, {level}", factor="encoder")
        for level in LABELS
    )
    return StudyResults(
        name="labels",
        question="How many labels does a frozen encoder save?",
        factors={"encoder": tuple(GAINS), "labels": tuple(LABELS)},
        cells=tuple(cells),
        comparisons=comparisons,
        floors={"stop": {"test": folder / "stop"}},
        splits=("test",),
    )


def with_labels(table: ScoreTable, level: str) -> ScoreTable:
    facts = LabelFacts(
        fraction=int(level) / 100,
        by="log",
        hash=f"{LABELS[level]:016x}",
        scenes=LABELS[level],
        logs=LABELS[level] // 10,
        split="train",
        split_hash="f" * 16,
        split_scenes=600,
    )
    return dataclasses.replace(table, meta=dataclasses.replace(table.meta, labels=None if level == "100" else facts))


def measured(table: ScoreTable, seed: int) -> ScoreTable:
    rng = np.random.default_rng(seed)
    rows = table.frame.select("token", "index", "log_name")
    size = rows.height
    metrics = rows.with_columns(
        jerk_rms_mps3=pl.Series(rng.uniform(0.5, 1.5, size)),
        yaw_rate_rms_radps=pl.Series(rng.uniform(0.05, 0.2, size)),
        comfort_share=pl.Series(rng.uniform(0.3, 0.9, size)),
    )
    return dataclasses.replace(table, metrics=metrics)


def write_evaluation(folder: Path, table: ScoreTable) -> None:
    folder.mkdir(parents=True)
    tables.write(folder / "scores.parquet", table)
    (folder / "summary.json").write_text("{}")
    if table.metrics is not None:
        table.metrics.write_parquet(folder / "metrics.parquet")


def finish(folder: Path, *, seconds: float, gpus: int = 1) -> None:
    """A finished run of ten epochs."""
    run = RunFolder(folder)
    run.describe("ijepa_mlp", launch="local", nodes=1, devices=1)
    training = {
        "seconds": seconds,
        "gpu_hours": seconds * gpus / 3600,
        "samples": 6000,
        "train_loss": 0.4,
        "val_loss": 0.5,
        "train_score": 0.9,
        "val_score": 0.85,
        "epochs_to_90": 4,
        "epochs_to_95": 6,
    }
    run.finished.write_text(json.dumps({"epochs": 10, "training": training}))

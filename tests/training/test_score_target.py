"""A planner that distils the overall score alone trains, validates and is saved like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.loading import load_planner
from navforge.training.loop.curves import read_curves
from navforge.training.run import train
from navforge.training.run_config import RunConfig


def test_the_overall_score_is_distilled_in_a_run(make_run: Callable[..., RunConfig]) -> None:
    base = make_run()
    head = base.planner.head
    assert isinstance(head, HydraMdpConfig)
    planner = replace(base.planner, head=replace(head, target="score"))
    best = train(replace(base, planner=planner, train=replace(base.train, epochs=2)))
    rows = read_curves(base.out / "epochs.csv")
    assert {"train/overall_score", "train/imitation", "val/overall_score", "val/score", "val/oracle"} <= set(rows[0])
    assert not {f"train/{column}" for column in head.teacher_columns} & set(rows[0])
    loaded = load_planner(best).config.head
    assert isinstance(loaded, HydraMdpConfig) and loaded.target == "score"

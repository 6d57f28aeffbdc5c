"""`navforge import-checkpoint`: from a published file to an agent that plans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from navforge.agents.planner import PlannerAgent
from navforge.cli.main import main
from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.splits import load_split
from navforge.models.conversions.transfuser import TRANSFUSER
from navforge.training.recipes.catalog import recipe
from tests.models.published import as_published


def published_file(path: Path) -> Path:
    torch.manual_seed(0)
    planner = recipe("transfuser_tiny").planner.build()
    torch.save({"state_dict": as_published(planner, TRANSFUSER, "agent._transfuser_model.")}, path)
    return path


def test_the_imported_planner_drives(tmp_path: Path, tiny_town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = published_file(tmp_path / "transfuser.ckpt"), tmp_path / "ours.ckpt"
    assert main(["import-checkpoint", f"source={source}", "agent=transfuser_tiny", f"out={out}"]) == 0
    said = capsys.readouterr().out
    assert "TransFuser (NAVSIM)" in said and "'agent._transfuser_model.'" in said
    assert f"navforge evaluate agent=transfuser_tiny checkpoint={out}" in said
    data = DataConfig(logs=tiny_town / "navsim_logs", sensors=tiny_town / "sensor_blobs", maps=tiny_town / "maps")
    split = load_split("test", data)
    scenes = list(read_scenes(split, data, next(iter(split.logs))))[:2]
    plans, interval_s = PlannerAgent("transfuser_tiny", out, data, device="cpu").plan(scenes)
    assert plans.shape == (len(scenes), 8, 3) and interval_s == 0.5 and np.isfinite(plans).all()


def test_errors_are_one_line_and_leave_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = published_file(tmp_path / "transfuser.ckpt"), tmp_path / "ours.ckpt"
    assert main(["import-checkpoint", f"source={source}", "agent=ltf", f"out={out}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "is not the planner ltf" in said and "_backbone.lidar_latent" in said
    assert main(["import-checkpoint", f"source={source}", "agent=nobody", f"out={out}"]) == 2
    assert "transfuser_tiny" in capsys.readouterr().err
    assert main(["import-checkpoint", f"source={source}", "agent=transfuser_tiny", f"out={source}"]) == 2
    assert "source itself" in capsys.readouterr().err
    assert not out.exists()

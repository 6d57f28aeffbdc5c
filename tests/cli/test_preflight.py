"""Batch scripts that name a run somewhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from navforge.cli.keys.preflight import configure
from navforge.core.errors import ConfigError
from navforge.data.paths import DataConfig
from navforge.runs.folder import RunFolder
from navforge.training.recipes.catalog import recipe
from navforge.training.run_config import RunConfig, write_run_config

HEAD = "#!/bin/bash\n#SBATCH --nodes=1 --ntasks-per-node=2\n"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    chosen = recipe("ego_mlp")
    config = RunConfig(
        agent="ego_mlp",
        split="train",
        out=tmp_path / "runs" / "a",
        cache=tmp_path / "cache",
        devices=2,
        planner=chosen.planner,
        train=replace(chosen.train, batch_size=17),
        data=DataConfig(logs=None, sensors=None, maps=None),
    )
    config.out.mkdir(parents=True)
    write_run_config(RunFolder(config.out).config, config)
    return config.out


@pytest.mark.parametrize("written", ["{run}", "../runs/a", "$RUNS/a"])
def test_a_script_elsewhere_is_checked_for_the_run_it_names(tmp_path: Path, run_folder: Path, written: str) -> None:
    script = tmp_path / "scripts" / "job.sbatch"
    script.parent.mkdir()
    name = written.format(run=run_folder)
    script.write_text(f"{HEAD}RUNS={run_folder.parent}\nsrun navforge rank {name}\n")
    config = configure([f"script={script}", "train.loader_workers=3"])
    assert (config.agent, config.devices, config.train.batch_size) == ("ego_mlp", 2, 17)
    assert config.train.loader_workers == 3 and config.script == script


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("/nowhere/run", r"calls navforge rank /nowhere/run, and /nowhere/run is not a run folder"),
        ("$UNSET/run", r"calls navforge rank \$UNSET/run, whose variables are not set in the script"),
        ("", r"calls navforge rank without a run folder"),
    ],
)
def test_a_run_that_is_not_there_is_named(tmp_path: Path, written: str, message: str) -> None:
    (tmp_path / "job.sbatch").write_text(f"{HEAD}srun navforge rank {written}\n")
    with pytest.raises(ConfigError, match=message):
        configure([f"script={tmp_path / 'job.sbatch'}"])

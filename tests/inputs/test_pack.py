"""Packing: resumes after kill -9, keeps whole shards, publishes only what is complete."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from navforge.cli import notices
from navforge.cli.keys import pack as keys
from navforge.cli.main import main
from navforge.core.errors import ConfigError, DataError
from navforge.core.products import INPUTS
from navforge.core.sharded_store import SHARD_FOLDER
from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.sensors import lidar_path
from navforge.data.splits import Split, load_split
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.pack import pack
from navforge.inputs.shards import Shard
from navforge.inputs.store import InputStore
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe

from .conftest import PLANNER, few


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def words(data: DataConfig, out: Path, *more: str) -> list[str]:
    roots = [f"data.{name}={getattr(data, name)}" for name in ("logs", "sensors", "maps")]
    return ["pack", f"agent={PLANNER}", "split=train", f"out={out}", "workers=1", *roots, *more]


def test_the_verb_packs_two_splits_and_says_so(
    data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(data, tmp_path / "store", "val_split=val")) == 0
    out = capsys.readouterr().out
    store = InputStore.open(tmp_path / "store")
    assert f"{len(store)} scenes packed, 0 kept" in out and "MiB of 3 logs" in out
    assert store.split["name"] == "train+val"
    assert set(load_split("val", data, workers=1).tokens) < set(store.tokens)
    assert (tmp_path / "store" / "pack.provenance.json").exists()


def test_the_same_again_changes_nothing(
    packed: InputStore, planner: PlannerConfig, split: Split, data: DataConfig, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(packed.path, tmp_path / "store"))
    before = contents(out)
    report = pack([split], InputSpec.of(planner), data, out, workers=1)
    assert not report.reasons and contents(out) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from navforge.cli.main import main
from navforge.inputs import pack, read
asked = int(sys.argv[1])
whole = pack.read_stored
def read_stored(*arguments):
    global asked
    asked -= 1
    if asked < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
pack.read_stored = read_stored
main(sys.argv[2:])
"""


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    packed: InputStore, split: Split, data: DataConfig, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    first, second = split.logs
    first_scenes = len(split.logs[first])
    command = [sys.executable, "-c", KILLED, str(first_scenes + 2), *words(data, out)]
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert InputStore.shard_path(out, first).exists() and not InputStore.shard_path(out, second).exists()
    with pytest.raises(DataError, match="is not complete"):
        InputStore.open(out)
    kept = InputStore.shard_path(out, first).stat().st_mtime_ns
    assert main(words(data, out)) == 0
    assert InputStore.shard_path(out, first).stat().st_mtime_ns == kept, "the whole shard was kept"
    for log in split.logs:
        assert InputStore.shard_path(out, log).read_bytes() == InputStore.shard_path(packed.path, log).read_bytes()
    assert InputStore.open(out).fingerprint == packed.fingerprint


@pytest.mark.parametrize("damage", ["flip", "cut", "other"])
def test_a_damaged_shard_is_made_again(
    packed: InputStore, planner: PlannerConfig, split: Split, data: DataConfig, tmp_path: Path, damage: str
) -> None:
    out = Path(shutil.copytree(packed.path, tmp_path / "store"))
    before = contents(out)
    first, second = split.logs
    path = InputStore.shard_path(out, first)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    elif damage == "cut":
        content = content[:-7]
    else:
        content = bytearray(InputStore.shard_path(out, second).read_bytes())
    path.write_bytes(content)
    report = pack([split], InputSpec.of(planner), data, out, workers=1)
    assert list(report.reasons) == [first]
    assert contents(out) == before


def test_scenes_that_fail_are_named_and_nothing_is_published(
    packed: InputStore, split: Split, data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert data.sensors is not None
    shutil.copytree(data.sensors / "train", tmp_path / "sensors" / "train")
    copy = replace(data, sensors=tmp_path / "sensors")
    out = Path(shutil.copytree(packed.path, tmp_path / "store"))
    log = list(split.logs)[1]
    scene = read_scenes(split, copy, log)[1]
    whole = lidar_path(scene, copy).read_bytes()
    lidar_path(scene, copy).write_bytes(whole[:-9])
    InputStore.shard_path(out, log).unlink()
    before = contents(out)
    assert main(words(copy, out)) == 2
    error = capsys.readouterr().err
    assert f"1 of {len(split)} scenes could not be packed" in error and scene.token in error
    assert str(lidar_path(scene, copy)) in error
    after = contents(out)
    assert after.pop("failures.json") and after == before, "nothing was replaced, the manifest included"
    (out / INPUTS.manifest).unlink()
    assert main(words(copy, out)) == 2 and not (out / INPUTS.manifest).exists()
    assert f"{out} is not complete and cannot be opened, its whole files are kept" in capsys.readouterr().err
    lidar_path(scene, copy).write_bytes(whole)
    assert main(words(copy, out)) == 0
    assert len(InputStore.open(out)) == len(split)


def test_a_store_of_another_configuration_is_not_written_over(
    packed: InputStore, split: Split, data: DataConfig, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(packed.path, tmp_path / "store"))
    before = contents(out)
    with pytest.raises(ConfigError, match=r"that differs in panorama.height \(64 -> 96\), .*lidar.*bev_semantics"):
        pack([split], InputSpec.of(recipe("hydra_mdp_tiny").planner), data, out, workers=1)
    assert contents(out) == before


def test_shards_of_another_configuration_are_made_again(
    planner: PlannerConfig, split: Split, data: DataConfig, tmp_path: Path
) -> None:
    """A folder without a manifest is anybody's: what does not fit is replaced."""
    blind = InputSpec.of(recipe("ego_mlp").planner)
    pack([split], blind, data, tmp_path, workers=1)
    (tmp_path / INPUTS.manifest).unlink()
    report = pack([split], InputSpec.of(planner), data, tmp_path, workers=1)
    assert list(report.reasons) == list(split.logs)
    assert "lidar" in Shard(InputStore.shard_path(tmp_path, next(iter(split.logs)))).parts


def test_a_store_that_would_lose_scenes_is_not_written_over(
    packed: InputStore, data: DataConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(packed.path, tmp_path / "store"))
    before = contents(out)
    assert main([word.replace("split=train", "split=val") for word in words(data, out)]) == 2
    error = capsys.readouterr().err
    assert f"complete store of train with {len(packed)} scenes" in error
    assert "give another out= or pack both at once with split= val_split=" in error
    assert contents(out) == before and InputStore.open(out).fingerprint == packed.fingerprint


def test_fewer_scenes_are_refused_and_more_make_the_store_grow(split: Split, data: DataConfig, tmp_path: Path) -> None:
    blind = InputSpec.of(recipe("ego_mlp").planner)
    pack([few(split, 2)], blind, data, tmp_path, workers=1)
    small = InputStore.open(tmp_path).fingerprint
    report = pack([split], blind, data, tmp_path, workers=1)
    assert list(report.reasons) == list(split.logs)
    whole = InputStore.open(tmp_path)
    assert whole.fingerprint != small and len(whole) == len(split)
    with pytest.raises(ConfigError, match=f"{len(split) - 4} of which are not in split"):
        pack([few(split, 2)], blind, data, tmp_path, workers=1)
    assert InputStore.open(tmp_path).fingerprint == whole.fingerprint


def test_a_log_in_two_splits_is_one_shard_and_common_scenes_are_refused(
    split: Split, data: DataConfig, tmp_path: Path
) -> None:
    log, tokens = next(iter(split.logs.items()))
    one = replace(split, logs={log: tokens[:2]}, folders={log: split.folders[log]})
    other = replace(one, logs={log: tokens[3:]})
    blind = InputSpec.of(recipe("ego_mlp").planner)
    pack([one, other], blind, data, tmp_path, workers=1)
    assert InputStore.open(tmp_path).tokens == (*tokens[:2], *tokens[3:])
    assert len(list((tmp_path / SHARD_FOLDER).iterdir())) == 1
    with pytest.raises(ConfigError, match=f"share scene {tokens[0]}"):
        pack([one, split], blind, data, tmp_path / "other", workers=1)


def test_keys_of_the_planner_may_be_overridden() -> None:
    config = keys.configure(["agent=transfuser_tiny", "split=a", "out=b", "planner.encoder.panorama.quality=90"])
    assert config.planner.panorama is not None and config.planner.panorama.quality == 90
    with pytest.raises(ConfigError, match="agent=TEXT"):
        keys.configure(["split=a", "out=b"])


def test_doubts_about_a_split_are_told_before_it_is_packed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def warned(split: str) -> None:
        raise DataError(f"warned of {split}")

    monkeypatch.setattr(notices, "load_split", lambda name, *_, **__: name)
    monkeypatch.setattr(notices, "warn", warned)
    assert main(["pack", "agent=ego_mlp", "split=first", f"out={tmp_path}"]) == 2
    assert "warned of first" in capsys.readouterr().err

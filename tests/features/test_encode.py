"""Encoding: resumes after kill -9, keeps whole shards, publishes only what is complete, names what made it stale."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import seed_everything

from navforge.cli.main import main
from navforge.core.errors import ConfigError, DataError
from navforge.core.products import FEATURES
from navforge.data.paths import DataConfig
from navforge.data.scenes import read_scenes
from navforge.data.splits import Split
from navforge.features import encode, trunk
from navforge.features.encode import plan
from navforge.features.store import FeatureStore
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.pack import pack
from navforge.inputs.read import read_inputs
from navforge.inputs.store import InputStore
from navforge.models.modules import TrunkEncoder
from navforge.training.recipes.catalog import recipe

from .conftest import BATCH, encoded, patches, seeded

RECIPE = (
    "name: patches\nencoder:\n  kind: tests.features.parts:PatchConfig\nhead:\n  kind: mlp\n  hidden: 16\n  layers: 1\n"
)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def words(data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(ROOT)
    (tmp_path / "patches.yaml").write_text(RECIPE)
    roots = [f"data.{name}={getattr(data, name)}" for name in ("logs", "sensors", "maps")]
    return [
        "encode", f"agent={tmp_path / 'patches.yaml'}", "split=train", f"out={tmp_path / 'store'}", "dtype=float32",
        f"batch_size={BATCH}", "device=cpu", "workers=1", *roots,
    ]  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}


def test_the_verb_says_how_large_the_store_is_and_encodes_two_splits(
    words: list[str], store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "val_split=val"]) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert f"{len(store)} scenes with 48 tokens of width 24 in float32 take" in printed and " free\n" in printed
    assert f"{len(store)} scenes encoded, 0 kept" in printed
    again = FeatureStore.open(tmp_path / "store")
    assert again.fingerprint == store.fingerprint and again.split["name"] == "train+val"
    assert (tmp_path / "store" / "encode.provenance.json").exists()


@pytest.mark.slow
def test_two_processes_write_the_bytes_that_one_writes(
    words: list[str], store: FeatureStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words[:-4], "workers=2", *words[-3:], "val_split=val"]) == 0, capsys.readouterr().err
    for log in store.logs:
        assert (
            FeatureStore.shard_path(tmp_path / "store", log).read_bytes()
            == FeatureStore.shard_path(store.path, log).read_bytes()
        )


KILLED = """
import os, signal, sys
from navforge.cli.main import main
from navforge.features import encode
asked = int(sys.argv[1])
whole = encode.tokens_of
def tokens_of(*arguments):
    global asked
    asked -= 1
    if asked < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
encode.tokens_of = tokens_of
main(sys.argv[2:])
"""


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    words: list[str], store: FeatureStore, split: Split, tmp_path: Path
) -> None:
    out = tmp_path / "store"
    first, second = split.logs
    whole_batches = -(-len(split.logs[first]) // BATCH)
    command = [sys.executable, "-c", KILLED, str(1 + whole_batches + 1), *words]  # the first batch tells the size
    done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert FeatureStore.shard_path(out, first).exists() and not FeatureStore.shard_path(out, second).exists()
    with pytest.raises(DataError, match="is not complete"):
        FeatureStore.open(out)
    kept = FeatureStore.shard_path(out, first).stat().st_mtime_ns
    assert main(words) == 0
    assert FeatureStore.shard_path(out, first).stat().st_mtime_ns == kept, "the whole shard was kept"
    for log in split.logs:
        assert FeatureStore.shard_path(out, log).read_bytes() == FeatureStore.shard_path(store.path, log).read_bytes()


@pytest.mark.parametrize("damage", ["flip", "cut", "other"])
def test_a_damaged_shard_is_made_again(
    store: FeatureStore, split: Split, val_split: Split, data: DataConfig, tmp_path: Path, damage: str
) -> None:
    out = Path(shutil.copytree(store.path, tmp_path / "store"))
    before = contents(out)
    first, second = split.logs
    path = FeatureStore.shard_path(out, first)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 4
    elif damage == "cut":
        content = content[:-7]
    else:
        content = bytearray(FeatureStore.shard_path(out, second).read_bytes())
    path.write_bytes(content)
    report = plan([split, val_split], patches(), data, out, dtype="float32", batch_size=BATCH).build(workers=1)
    assert list(report.reasons) == [first]
    assert contents(out) == before


def test_the_module_that_made_it_stale_is_named(
    store: FeatureStore,
    split: Split,
    val_split: Split,
    data: DataConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = Path(shutil.copytree(store.path, tmp_path / "store"))
    now = trunk.modules_of

    def changed(*arguments: object) -> dict[str, str]:
        return {**now(*arguments), "tests.features.parts": "0"}  # type: ignore[arg-type]

    for module in (encode, sys.modules["navforge.features.store"]):
        monkeypatch.setattr(module, "modules_of", changed)
    with pytest.raises(DataError, match=r"is stale: .*has changed since \(tests.features.parts\)"):
        FeatureStore.open(out).require_trunk(seeded())
    report = plan([split, val_split], patches(), data, out, dtype="float32", batch_size=BATCH).build(workers=1)
    assert set(report.reasons) == {*split.logs, *val_split.logs}
    assert "(tests.features.parts)" in next(iter(report.reasons.values()))


def test_a_store_that_does_not_fit_the_disk_is_refused_before_it_is_begun(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("navforge.cli.encode.shutil.disk_usage", lambda path: usage(1 << 20, 0, 1 << 10))
    assert main(words) == 2
    assert "in float32 take" in (error := capsys.readouterr().err) and "the disk has 0 MiB free; give an out=" in error
    assert not (tmp_path / "store" / "shards").exists()


def test_a_disk_that_becomes_full_leaves_no_part_of_a_shard(words: list[str], tmp_path: Path) -> None:
    program = (
        "import resource, sys\nfrom navforge.cli.main import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\nsys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "File too large while writing" in done.stderr, done.stderr
    assert "make room on the disk" in done.stderr or "File too large" in done.stderr
    assert not list((tmp_path / "store" / "shards").iterdir()) and not (tmp_path / "store" / FEATURES.manifest).exists()
    assert main(words) == 0


def test_an_image_that_cannot_be_read_is_named_and_nothing_is_published(
    store: FeatureStore, split: Split, val_split: Split, data: DataConfig, tmp_path: Path
) -> None:
    assert data.sensors is not None
    copy = replace(data, sensors=Path(shutil.copytree(data.sensors, tmp_path / "sensors")))
    log = list(split.logs)[1]
    scene = read_scenes(split, copy, log)[1]
    reference = encode.SceneDataset(split.one_log(log), patches(), copy, keep_inputs=False).source.references[1]  # type: ignore[attr-defined]
    reference.cameras[0].write_bytes(b"no image")
    report = plan([split, val_split], patches(), copy, tmp_path / "store", dtype="float32", batch_size=BATCH).build(
        workers=1
    )
    assert not report.complete and [failure.token for failure in report.failures] == [scene.token]
    assert not (tmp_path / "store" / FEATURES.manifest).exists()


def test_a_store_of_another_encoder_is_not_written_over(
    store: FeatureStore, split: Split, val_split: Split, data: DataConfig, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(store.path, tmp_path / "store"))
    before = contents(out)
    with pytest.raises(ConfigError, match=r"differs in key.encoder.width \(24 -> 8\)"):
        plan([split, val_split], patches(width=8), data, out, dtype="float32", batch_size=BATCH)
    with pytest.raises(ConfigError, match="encode both at once with split= val_split="):
        plan([split], patches(), data, out, dtype="float32", batch_size=BATCH)
    with pytest.raises(ConfigError, match="learns, so its tokens change"):
        plan([split], patches(frozen=False), data, tmp_path / "other")
    assert contents(out) == before


def test_an_input_store_gives_the_same_tokens(
    store: FeatureStore, split: Split, val_split: Split, data: DataConfig, tmp_path: Path
) -> None:
    pack([split, val_split], InputSpec.of(patches()), data, tmp_path / "inputs", workers=1)
    blind = replace(data, sensors=None)
    packed = InputStore.open(tmp_path / "inputs")
    plan(
        [split, val_split], patches(), blind, tmp_path / "store", dtype="float32", batch_size=BATCH, store=packed
    ).build(workers=1)
    held = FeatureStore.open(tmp_path / "store")
    for name, tensor in store.inputs(split.tokens, patches()).items():
        assert torch.equal(tensor, held.inputs(split.tokens, patches())[name])


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 0.0), ("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_tokens_are_those_of_the_trunk_within_the_bound_of_the_type(
    split: Split, data: DataConfig, tmp_path: Path, dtype: str, bound: float
) -> None:
    held = encoded([split], data, tmp_path, dtype=dtype)
    planner = seeded().eval()
    log = next(iter(split.logs))
    scenes = read_scenes(split, data, log)[:BATCH]
    inputs = read_inputs(scenes, planner.config, data)
    torch.set_num_threads(1)
    with torch.no_grad():
        exact = planner.encoder.trunk_tokens(inputs)
    stored = held.inputs([scene.token for scene in scenes], patches())
    assert torch.equal(stored["status"], inputs["status"])
    difference = (stored["features"].float() - exact).abs()
    assert (difference <= bound * exact.abs() + 2.0**-25 * (bound > 0)).all()
    assert (difference > 0).any() == (bound > 0)


def test_an_image_network_from_files_is_encoded_too(split: Split, data: DataConfig, tmp_path: Path) -> None:
    planner = recipe("vit_tiny_queries").planner
    held = encoded([split], data, tmp_path, planner)
    seed_everything(0, verbose=False)
    encoder = planner.build().eval().encoder
    assert isinstance(encoder, TrunkEncoder)
    scenes = read_scenes(split, data, next(iter(split.logs)))[:BATCH]
    torch.set_num_threads(1)
    with torch.no_grad():
        exact = encoder.trunk_tokens(read_inputs(scenes, planner, data))
    stored = held.inputs([scene.token for scene in scenes], planner)["features"]
    assert stored.shape == (BATCH, 64, 96) and torch.equal(stored, exact)


@pytest.mark.parametrize(
    ("keys", "same"),
    [
        ({"tokens": "attention", "queries": 2, "attention_heads": 4}, True),
        (
            {"rows": 2, "blocks": 2, "lora_rank": 3, "checkpoint": True, "weights": "elsewhere", "fingerprint": "f"},
            True,
        ),
        ({"tokens": "grid"}, False),
        ({"height": 96}, False),
        ({"network": "vit_small_patch16_224"}, False),
    ],
)
def test_a_store_is_bound_to_keys_that_decide_the_tokens(keys: dict[str, Any], same: bool) -> None:
    encoder = recipe("vit_tiny_queries").planner.encoder
    assert (trunk.encoder_key(replace(encoder, **keys)) == trunk.encoder_key(encoder)) is same
    grids = [trunk.encoder_key(replace(encoder, tokens="grid", rows=rows)) for rows in (2, 4)]
    assert grids[0] != grids[1]


def test_values_that_a_type_cannot_hold_are_refused(split: Split, data: DataConfig, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokens reach .* too large for torch.float16; give dtype=bfloat16"):
        plan([split], patches(scale=1e6), data, tmp_path, dtype="float16", batch_size=BATCH)

"""What a store refuses: damage, other configurations, other code, missing scenes, an unfinished store."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from navforge.core.errors import DataError
from navforge.core.outside.sealed import read_sealed, write_sealed
from navforge.core.products import INPUTS
from navforge.core.sharded_store import TOKENS
from navforge.data.paths import DataConfig
from navforge.data.splits import Split
from navforge.inputs import input_spec
from navforge.inputs.corrupt import CorruptSample
from navforge.inputs.dataset import SceneDataset
from navforge.inputs.input_spec import InputSpec
from navforge.inputs.shards import Shard
from navforge.inputs.store import InputStore
from navforge.models.planner_config import PlannerConfig
from navforge.training.recipes.catalog import recipe


@pytest.fixture
def copied(packed: InputStore, tmp_path: Path) -> Path:
    """A copy of the store that may be damaged."""
    return Path(shutil.copytree(packed.path, tmp_path / "store"))


def read_all(folder: Path, planner: PlannerConfig) -> list[str]:
    store = InputStore.open(folder)
    parts = InputSpec.of(planner).parts
    return [store.read(row, parts)[0] for row in range(len(store))]


def test_scenes_come_in_the_splits_order_and_any_order_asked_for(packed: InputStore, split: Split) -> None:
    assert packed.tokens == split.tokens and len(packed) == len(split)
    assert packed.rows(split.tokens).tolist() == list(range(len(split)))
    some = [split.tokens[7], split.tokens[0], split.tokens[7]]
    assert packed.rows(some).tolist() == [7, 0, 7]
    assert [packed.read(int(row), ["status"])[0] for row in packed.rows(some)] == some
    packed.check()


def test_planners_with_the_same_or_fewer_inputs_share_a_store(packed: InputStore, planner: PlannerConfig) -> None:
    packed.require(planner=planner, tokens=packed.tokens)
    packed.require(planner=replace(planner, name="another"), tokens=packed.tokens[:3])
    packed.require(planner=recipe("ego_mlp").planner, tokens=packed.tokens)


def test_another_configuration_is_refused_by_key(packed: InputStore, planner: PlannerConfig) -> None:
    assert planner.panorama is not None
    wider = replace(planner.panorama, width=512, resize="bilinear")
    other = replace(planner, name="wide", encoder=replace(planner.encoder, panorama=wider))
    with pytest.raises(
        DataError, match=r"in the store -> asked for\): panorama.width \(256 -> 512\), panorama.resize"
    ) as caught:
        packed.require(planner=other, tokens=packed.tokens)
    assert "navforge pack agent=wide" in str(caught.value)


def test_a_part_that_was_not_packed_is_refused(planner: PlannerConfig, split: Split, copied: Path) -> None:
    manifest = read_sealed(copied / INPUTS.manifest, "manifest")
    del manifest["origin"]["parts"]["lidar"]
    write_sealed(copied / INPUTS.manifest, manifest)
    with pytest.raises(DataError, match=r"holds no lidar, which transfuser_tiny reads or learns; run navforge pack"):
        InputStore.open(copied).require(planner=planner, tokens=split.tokens)


def test_other_code_is_refused(packed: InputStore, planner: PlannerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = input_spec.module_hashes
    changed = {"navforge.models.histogram": "changed"}
    monkeypatch.setattr(
        input_spec,
        "module_hashes",
        lambda *names, alone: {**hashes(*names, alone=alone), **(changed if set(changed) & set(names) else {})},
    )
    with pytest.raises(DataError, match=r"stale: the code or a library that makes lidar has changed"):
        packed.require(planner=planner, tokens=packed.tokens)
    packed.require(planner=recipe("ego_mlp").planner, tokens=packed.tokens)


def test_missing_scenes_are_counted_and_named(packed: InputStore, planner: PlannerConfig, split: Split) -> None:
    absent = ["0123456789abcdef", "ffffffffffffffff0"]
    with pytest.raises(DataError, match=r"\(split train, 10 scenes\) lacks 2 of 12 scenes, 0123456789abcdef for one"):
        packed.require(planner=planner, tokens=[*split.tokens, *absent])
    longer = replace(split, logs={**split.logs, "another": (absent[0],)})
    with pytest.raises(DataError, match="lacks 1 of 11"):
        SceneDataset(longer, planner, DataConfig(logs=None, sensors=None, maps=None), store=packed)


def test_an_unfinished_store_is_refused(copied: Path, tmp_path: Path) -> None:
    (copied / INPUTS.manifest).unlink()
    with pytest.raises(DataError, match=r"is not complete \(no inputs.json\); run navforge pack"):
        InputStore.open(copied)
    with pytest.raises(DataError, match=r"does not exist"):
        InputStore.open(tmp_path / "nowhere")


def test_another_format_is_refused_with_what_keeps_the_shards(copied: Path) -> None:
    manifest = read_sealed(copied / INPUTS.manifest, "manifest")
    write_sealed(copied / INPUTS.manifest, {**manifest, "format": 1})
    with pytest.raises(DataError, match=r"has format 1, this code reads 2; delete .*/inputs.json and run"):
        InputStore.open(copied)


def test_a_flipped_byte_is_named_by_shard_scene_and_part(
    copied: Path, packed: InputStore, planner: PlannerConfig, split: Split
) -> None:
    log = next(iter(split.logs))
    path = InputStore.shard_path(copied, log)
    content = bytearray(path.read_bytes())
    row = 2
    _, stored = Shard(path).read(row, ["panorama"])
    start = content.index(bytes(stored["panorama"]))
    content[start + 1000] ^= 1
    path.write_bytes(content)
    store = InputStore.open(copied)
    with pytest.raises(CorruptSample, match=rf"panorama of scene {split.tokens[row]}") as caught:
        store.read(row, InputSpec.of(planner).parts)
    assert caught.value.file == str(path) and caught.value.token == split.tokens[row]
    assert store.read(row + 1, InputSpec.of(planner).parts)[0] == split.tokens[row + 1]
    assert store.read(row, ["status", "human_poses"])[0] == split.tokens[row], "the damaged part is not asked for"
    with pytest.raises(DataError, match="has changed since it was written"):
        store.check()


def test_no_flipped_byte_goes_unnoticed(copied: Path, packed: InputStore, planner: PlannerConfig) -> None:
    """Wherever it is: what is read is what was written, or nothing is."""
    path = InputStore.shard_path(copied, packed.logs[0])
    whole = path.read_bytes()
    rng = np.random.default_rng(5)
    names = InputSpec.of(planner).parts
    refused = 0
    for place in [*rng.integers(0, len(whole), 60), *rng.integers(len(whole) - 4000, len(whole), 60)]:
        content = bytearray(whole)
        content[place] ^= int(rng.integers(1, 256))
        path.write_bytes(content)
        try:
            store = InputStore.open(copied)
            for row in range(5):
                token, stored = store.read(row, names)
                expected_token, expected = packed.read(row, names)
                assert token == expected_token
                assert {k: bytes(v) for k, v in stored.items()} == {k: bytes(v) for k, v in expected.items()}
        except CorruptSample:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("kept", [0, 100, 0.5, -1])
def test_a_truncated_shard_is_named(copied: Path, packed: InputStore, planner: PlannerConfig, kept: float) -> None:
    path = InputStore.shard_path(copied, packed.logs[1])
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept in (0, 100, -1) else kept * len(content))])
    store = InputStore.open(copied)
    assert store.read(0, ["status"])[0] == packed.tokens[0], "other shards are whole"
    with pytest.raises(CorruptSample, match=path.name) as caught:
        store.read(9, InputSpec.of(planner).parts)
    assert caught.value.token == packed.tokens[9] and "bytes, written were" in str(caught.value)


def test_a_missing_shard_is_named(copied: Path, packed: InputStore) -> None:
    path = InputStore.shard_path(copied, packed.logs[1])
    path.unlink()
    with pytest.raises(CorruptSample, match=path.name):
        InputStore.open(copied).read(9, ["status"])


@pytest.mark.parametrize("name", [INPUTS.manifest, TOKENS])
def test_a_damaged_manifest_or_index_is_refused(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2 :] = b""
    (copied / name).write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged.* run navforge pack again"):
        InputStore.open(copied)


def test_few_shards_stay_open(packed: InputStore, planner: PlannerConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InputStore, "most_open", 1)
    store = InputStore.open(packed.path)
    for row in (0, 9, 1, 8):
        assert store.read(row, ["status"])[0] == packed.tokens[row]
        assert len(store._opened) == 1

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from navforge.cache_builder.pool import cache_split
from navforge.core.errors import DataError
from navforge.core.outside.sealed import read_sealed, write_sealed
from navforge.data.splits import load_split
from navforge.metric_cache import store
from navforge.metric_cache.store import MetricCache, log_path
from tests.cache_builder.tiny_scene import write_world


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("world")
    data = write_world(root, logs=2)
    report = cache_split(load_split("tiny", data), data, root / "cache", workers=1)
    assert report.complete
    return root / "cache"


@pytest.fixture
def cache(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "cache"))


def test_open_lists_and_loads(cache: Path):
    found = MetricCache.open(cache)
    assert found.logs == ("log0", "log1")
    assert len(found) == len(found.tokens) == 6
    assert found.split["name"] == "tiny"
    for log in found.logs:
        scenes = found.load_log(log)
        assert tuple(scene.token for scene in scenes) == found.tokens_of(log)
        assert [scene.time_us for scene in scenes] == sorted(scene.time_us for scene in scenes)
        for scene in scenes:
            assert found.log_of(scene.token) == scene.log_name == log
            np.testing.assert_array_equal(found.load(scene.token).pdm_reference, scene.pdm_reference)
    assert found.tokens[0] in found and "nothing" not in found


def test_only_a_few_logs_stay_in_memory(cache: Path, monkeypatch):
    monkeypatch.setattr(store, "_OPEN_LOGS", 1)
    found = MetricCache.open(cache)
    for log in ("log0", "log1", "log0"):
        found.load_log(log)
        assert list(found._files) == [log]


def test_missing_cache_names_the_remedy(tmp_path: Path):
    with pytest.raises(DataError, match=r"does not exist.*navforge cache"):
        MetricCache.open(tmp_path / "nothing")


def test_cache_without_manifest_is_incomplete(cache: Path):
    (cache / store.MANIFEST).unlink()
    with pytest.raises(DataError, match=r"not complete.*navforge cache"):
        MetricCache.open(cache)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format":1,"code":"x","split":{},"logs":3}'])
def test_damaged_manifest_is_named(cache: Path, content: str):
    (cache / store.MANIFEST).write_text(content)
    with pytest.raises(DataError, match=r"cache\.json is (damaged.*navforge cache|empty)|stale.*navforge cache"):
        MetricCache.open(cache)


@pytest.mark.parametrize(("key", "value"), [("format", -1), ("code", "0123")])
def test_cache_of_other_code_is_stale(cache: Path, key: str, value):
    content = read_sealed(cache / store.MANIFEST, "manifest")
    content[key] = value
    write_sealed(cache / store.MANIFEST, content)
    with pytest.raises(DataError, match=r"stale.*navforge cache"):
        MetricCache.open(cache)


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_damaged_log_file_is_refused_by_name(cache: Path, damage: str):
    path = log_path(cache, "log1")
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[-100] ^= 4
        path.write_bytes(content)
    found = MetricCache.open(cache)
    found.load_log("log0")
    with pytest.raises(DataError, match=r"log1\.nfc.*navforge cache"):
        found.load_log("log1")
    with pytest.raises(DataError, match=r"log1\.nfc"):
        found.load(found.tokens_of("log1")[0])


def test_file_of_another_run_is_stale(cache: Path):
    shutil.copy(log_path(cache, "log0"), log_path(cache, "log1"))
    with pytest.raises(DataError, match=r"log1\.nfc is stale"):
        MetricCache.open(cache).load_log("log1")


def test_unknown_scene_and_log_are_named(cache: Path):
    found = MetricCache.open(cache)
    with pytest.raises(DataError, match="does not hold scene 0123 of 6 scenes"):
        found.load("0123")
    with pytest.raises(DataError, match="does not hold log log7"):
        found.load_log("log7")


def test_fingerprint_is_that_of_the_contents(cache: Path, pristine: Path):
    assert MetricCache.open(cache).fingerprint == MetricCache.open(pristine).fingerprint
    content = read_sealed(cache / store.MANIFEST, "manifest")
    content["logs"]["log0"]["made"] = "other"
    write_sealed(cache / store.MANIFEST, content)
    assert MetricCache.open(cache).fingerprint != MetricCache.open(pristine).fingerprint

"""Label subsets: nested, spread over strata, the same everywhere, and what is refused."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from navforge.core.errors import ConfigError, DataError
from navforge.data.filters import SceneFilter
from navforge.data.label_subsets import (
    LabelSubset,
    Stratum,
    front,
    label_subset,
    nested_order,
    read_strata,
)
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.training.config import LabelConfig

FRACTIONS = (0.1, 0.25, 0.5, 1.0)
CITIES = ("boston", "pittsburgh", "singapore")
COMMANDS = ("left", "straight", "right")


def made_up(logs: int = 300) -> tuple[Split, dict[str, Stratum]]:
    """Logs of 5 to 60 scenes in three cities of unequal size; one log in three drives left a lot."""
    rng = np.random.default_rng(0)
    tokens: dict[str, tuple[str, ...]] = {}
    strata: dict[str, Stratum] = {}
    for number in range(logs):
        log, city = f"log-{number:04}", CITIES[(number % 7) // 3]
        tokens[log] = tuple(f"{number:08x}{scene:08x}" for scene in range(rng.integers(5, 61)))
        chances = [0.6, 0.3, 0.1] if number % 3 == 0 else [0.1, 0.8, 0.1]
        strata |= {token: Stratum(city, COMMANDS[rng.choice(3, p=chances)]) for token in tokens[log]}
    return Split("train", SceneFilter(), tokens, dict.fromkeys(tokens, "train")), strata


def subset(fraction: float, by: str = "log", logs: int = 300) -> LabelSubset:
    split, strata = made_up(logs)
    return label_subset(split, strata, fraction, by)


@pytest.mark.parametrize("by", ["log", "scene"])
def test_smaller_fractions_are_part_of_larger_ones(by: str) -> None:
    found = [set(subset(fraction, by).split.tokens) for fraction in (*np.linspace(0.05, 0.95, 19), 1.0)]
    for smaller, larger in itertools.pairwise(found):
        assert smaller < larger
    assert found[-1] == set(made_up()[0].tokens)


@pytest.mark.parametrize(("by", "off"), [("log", 0.004), ("scene", 0.0001)])
def test_the_share_is_the_fraction(by: str, off: float) -> None:
    for fraction in FRACTIONS:
        one = subset(fraction, by)
        assert len(one.split) / len(one.whole) == pytest.approx(fraction, abs=off)


def test_logs_are_whole() -> None:
    one = subset(0.25)
    assert all(tokens == one.whole.logs[log] for log, tokens in one.split.logs.items())
    assert 0 < len(one.split.logs) < len(one.whole.logs)
    assert set(one.split.folders) == set(one.split.logs)
    scenes = subset(0.25, "scene")
    assert len(scenes.split.logs) > 290


@pytest.mark.parametrize(("by", "off"), [("log", 0.35), ("scene", 0.03)])
def test_every_stratum_has_its_share(by: str, off: float) -> None:
    """Off by one log at most where logs are whole: a stratum here has 25 logs or more of up to 60 scenes."""
    for fraction in FRACTIONS:
        for row in subset(fraction, by).manifest()["strata"]:
            if row["split_scenes"] > 500:
                assert row["scenes"] / row["split_scenes"] == pytest.approx(fraction, rel=off)


def test_without_strata_shares_would_differ_more() -> None:
    split, strata = made_up()
    sizes = {log: len(tokens) for log, tokens in split.logs.items()}
    cities = {log: strata[tokens[0]].location for log, tokens in split.logs.items()}
    off = {}
    for name, groups in (("strata", cities), ("none", dict.fromkeys(sizes, 0))):
        counts, whole = Counter(), Counter()
        for log in front(nested_order(sizes, groups), sizes, 0.1):
            counts[cities[log]] += sizes[log]
        for log, size in sizes.items():
            whole[cities[log]] += size
        off[name] = max(abs(counts[city] / whole[city] - 0.1) for city in CITIES)
    assert off["strata"] < 0.03 < off["none"] + 0.03


def test_order_of_logs_and_of_strata_does_not_matter() -> None:
    split, strata = made_up()
    turned = Split("train", SceneFilter(), dict(reversed(split.logs.items())), split.folders)
    other = label_subset(turned, dict(reversed(strata.items())), 0.25)
    assert other.split.hash == subset(0.25).split.hash


def hashes() -> list[str]:
    return [subset(0.1, by).split.hash for by in ("log", "scene")]


def test_another_process_finds_the_same_subset() -> None:
    """Neither the seed of Python's own hash nor anything of this process is part of it."""
    code = "from tests.data.test_label_subsets import hashes; print(*hashes())"
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.split() == hashes()


def test_the_subset_of_a_known_split_stays_what_it_is() -> None:
    """Studies of different versions compare only if it never changes."""
    sizes = {f"log-{n}": n + 1 for n in range(12)}
    order = nested_order(sizes, {name: int(name[4:]) % 2 for name in sizes})
    assert [int(name[4:]) for name in order] == [1, 8, 9, 10, 5, 7, 6, 3, 4, 0, 11, 2]


def test_the_manifest_names_every_scene() -> None:
    one = subset(0.25)
    manifest = json.loads(json.dumps(one.manifest()))
    assert [token for tokens in manifest["tokens"].values() for token in tokens] == list(one.split.tokens)
    assert manifest["hash"] == one.split.hash != manifest["split_hash"] == one.whole.hash
    assert sum(row["scenes"] for row in manifest["strata"]) == manifest["scenes"] == len(one.split)
    assert sum(row["split_scenes"] for row in manifest["strata"]) == manifest["split_scenes"] == len(one.whole)


def test_the_whole_keeps_its_hash() -> None:
    one = subset(1.0)
    assert one.split.hash == one.whole.hash


def test_a_fraction_that_whole_logs_cannot_make_is_refused() -> None:
    with pytest.raises(DataError, match=r"in whole logs \(4 there\) is 0\.\d+ of its scenes.*labels.by=scene"):
        subset(0.05, logs=4)
    assert len(subset(0.05, "scene", logs=4).split) > 0
    with pytest.raises(ConfigError, match="above 0"):
        LabelConfig(fraction=0.0)
    with pytest.raises(DataError, match="have no stratum"):
        label_subset(made_up()[0], {}, 0.5)


def test_strata_are_read_from_logs(realdata: Path) -> None:
    data = DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=None)
    split = load_split("real", data)
    strata = read_strata(split, data, workers=1)
    assert set(strata) == set(split.tokens)
    assert {one.command for one in strata.values()} <= {"left", "straight", "right", "unknown"}
    half = label_subset(split, strata, 0.5, "scene")
    assert len(half.split) == round(len(split) / 2)

"""A gallery of real scenes: right scenes, right plans, right numbers; and a page made of it."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from navforge.core.errors import DataError
from navforge.data.paths import DataConfig
from navforge.data.splits import Split, load_split
from navforge.evaluation.score import score_split
from navforge.evaluation.trajectories import Trajectories
from navforge.metric_cache.store import MetricCache
from navforge.reports.gallery import Evaluated, best_entry, gallery
from navforge.vocabulary.vocabulary import Vocabulary

PROTOCOL = "epdms_v2"


@dataclasses.dataclass(frozen=True)
class World:
    data: DataConfig
    split: Split
    cache: MetricCache
    planner: Evaluated
    human: Evaluated


@pytest.fixture(scope="module")
def world(realdata: Path, real_cache: Path) -> World:
    data = DataConfig(logs=realdata / "navsim_logs", sensors=None, maps=realdata / "maps")
    split, cache = load_split("real", data), MetricCache.open(real_cache)
    scenes = [scene for log in cache.logs for scene in cache.load_log(log)]
    tokens = [scene.token for scene in scenes]
    human = np.array([scene.human_poses for scene in scenes])[:, None]
    slow = human * np.array([0.7, 0.7, 1.0])

    def evaluated(label: str, poses: np.ndarray) -> Evaluated:
        plans = Trajectories.make(np.array(tokens), poses, 0.5)
        return Evaluated(
            label=label, table=score_split(plans, split, cache, (PROTOCOL,), workers=1), trajectories=plans
        )

    return World(data, split, cache, evaluated("slow", slow), evaluated("human", human))


def test_gallery_shows_the_planner_and_its_scores(world: World, navsim_files: Path) -> None:
    entries = Vocabulary(np.load(navsim_files / "vocabulary_8192.npy")[::128])
    pictures = gallery(
        world.planner, world.human.table, world.split, world.data, world.cache,
        protocol=PROTOCOL, vocabulary=entries, count=5, sensors=False,
    )  # fmt: skip
    assert len({picture.token for picture in pictures}) == 5
    rows = {row["token"]: row for row in world.planner.table.of(PROTOCOL).iter_rows(named=True)}
    for picture in pictures:
        assert picture.camera is None
        assert Image.open(io.BytesIO(picture.bev)).size == (560, 560)
        (label, score, parts), (best_label, best_score, _), (human_label, _, human_parts) = picture.scores
        assert (label, human_label) == ("slow", "human")
        assert best_label.startswith("best entry")
        assert score == pytest.approx(rows[picture.token]["score"])
        assert parts["ego_progress"] == pytest.approx(rows[picture.token]["ego_progress"])
        assert best_score > 0
        official = world.human.table.of(PROTOCOL).filter(pl.col("token") == picture.token).row(0, named=True)
        assert human_parts["ego_progress"] == pytest.approx(official["ego_progress"], abs=1e-9)


def test_best_entry_prefers_score_then_the_human(world: World) -> None:
    scene = world.cache.load(world.cache.tokens[0])
    assert scene.human_poses is not None
    time = np.arange(1, 41) * 0.1
    forward = [np.column_stack([v * time, np.zeros(40), np.zeros(40)]) for v in (0.0, 100.0)]
    moved = best_entry(scene, np.array([forward[1], forward[0], forward[0]]), PROTOCOL)
    assert moved.label == "best entry (1)"
    assert moved.score > 0


def test_plans_and_scores_must_belong_together(world: World) -> None:
    other = world.human.table.frame.head(3)
    meta = dataclasses.replace(world.human.table.meta, missing=world.human.table.meta.missing + other.height)
    short = dataclasses.replace(world.human.table, frame=other, meta=meta)
    with pytest.raises(DataError, match="baseline's table lacks"):
        gallery(world.planner, short, world.split, world.data, world.cache, protocol=PROTOCOL, sensors=False)
    plans = world.planner.trajectories
    few = Trajectories.make(np.array(plans.tokens[:1]), plans.poses[:1], 0.5)
    alone = dataclasses.replace(world.planner, trajectories=few)
    with pytest.raises(DataError, match="no stored plan"):
        gallery(alone, world.human.table, world.split, world.data, world.cache, protocol=PROTOCOL, sensors=False)

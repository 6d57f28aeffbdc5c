"""`navforge tune` on a tiny town: a planner that knows what is good and imitates what is bad.

It has learned the scenes it is tuned on by heart, so that better weights exist for sure, and passes for one trained on
the split `val`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from navforge.cache_builder.pool import cache_split
from navforge.cli.main import main
from navforge.data.paths import DataConfig
from navforge.data.scenes import Scene
from navforge.data.splits import load_split
from navforge.inputs.dataset import scenes_of
from navforge.inputs.read import read_status
from navforge.models.checkpoints import KEY, contents, read_checkpoint, write_values
from navforge.models.contract import Targets
from navforge.models.encoders.configs import EgoStatusConfig
from navforge.models.heads.configs import HydraMdpConfig, MlpHeadConfig
from navforge.models.heads.weights import PLAIN_V1
from navforge.models.loading import load_planner
from navforge.models.planner import Planner
from navforge.models.planner_config import PlannerConfig, planner_to_dict
from navforge.teacher.build import teach
from navforge.teacher.store import SCORE, TeacherStore
from navforge.training.inference import plan_scenes
from navforge.tuning import confidences
from navforge.vocabulary.vocabulary import Vocabulary

ENTRIES = 24
BY_IMITATION = replace(PLAIN_V1, no_at_fault_collisions=0.0, drivable_area_compliance=0.0, weighted=0.0)
HEAD = HydraMdpConfig(
    protocol="pdms_v1", width=32, attention_heads=2, feed_forward=32, decoder_layers=1, inference=BY_IMITATION
)
PLANNER = PlannerConfig(name="hydra_small", encoder=EgoStatusConfig(), head=HEAD)


@dataclass(frozen=True)
class Material:
    checkpoint: Path
    teacher: Path
    data: DataConfig
    words: list[str]


@pytest.fixture(scope="module")
def material(tiny_town: Path, tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("tune")
    data = DataConfig(logs=tiny_town / "navsim_logs", sensors=tiny_town / "sensor_blobs", maps=tiny_town / "maps")
    split, trained_on = (load_split(name, data, workers=1) for name in ("train", "val"))
    poses = np.zeros((ENTRIES, 40, 3), np.float32)
    poses[..., 0] = np.linspace(0, 14, ENTRIES)[:, None] * np.arange(1, 41) / 10
    vocabulary = Vocabulary(poses)  # straight on at speeds from standing to far too fast
    cache_split(split, data, folder / "cache", workers=1)
    rules: dict[str, Any] = {"protocol_name": "pdms_v1", "human_filter": False, "workers": 1}
    store = teach(vocabulary, split, folder / "cache", folder / "teacher", **rules)
    planner = learned(vocabulary, list(scenes_of(split, data)), store)
    facts = {"split": "val", "fingerprints": {"vocabulary": vocabulary.fingerprint, "split": trained_on.hash}}
    values = {
        "state_dict": {f"planner.{name}": value for name, value in planner.state_dict().items()},
        "optimizer_states": [{"moments": torch.zeros(1000)}],
        KEY: contents(planner_to_dict(PLANNER), facts),
    }
    write_values(folder / "best.ckpt", values)
    words = [f"data.{name}={getattr(data, name)}" for name in ("logs", "sensors", "maps")]
    return Material(folder / "best.ckpt", folder / "teacher", data, words)


def learned(vocabulary: Vocabulary, scenes: list[Scene], store: TeacherStore) -> Planner:
    torch.manual_seed(3)
    planner = PLANNER.build(vocabulary)
    inputs = {"status": torch.from_numpy(np.stack([read_status(scene) for scene in scenes]))}
    rows = [store.row(scene.token, (*HEAD.teacher_columns, SCORE)) for scene in scenes]
    teacher = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in HEAD.teacher_columns}
    worst = torch.from_numpy(vocabulary.plans[[int(row[SCORE].argmin()) for row in rows]])
    optimiser = torch.optim.Adam(planner.parameters(), lr=3e-3)
    for _ in range(150):
        optimiser.zero_grad()
        planner.loss(planner(inputs), Targets(worst, teacher))["total"].backward()
        optimiser.step()
    return planner


Tune = Callable[..., int]


@pytest.fixture
def tune(material: Material) -> Tune:
    def run(out: Path, **keys: Any) -> int:
        given = {"checkpoint": material.checkpoint, "teacher": material.teacher, "split": "train", "out": out, **keys}
        words = [f"{name.replace('__', '.')}={value}" for name, value in given.items()]
        return main(["tune", "device=cpu", "search.sets=200", *words, *material.words])

    return run


def true_mean(material: Material, checkpoint: Path) -> float:
    """Mean true score of what a checkpoint plans on the validation split, by the way evaluation takes."""
    planner = load_planner(checkpoint)
    head = planner.head
    split = load_split("train", material.data, workers=1)
    scenes = list(scenes_of(split, material.data))
    poses, _ = plan_scenes(planner, scenes, material.data)
    entries = head.get_buffer("vocabulary").double().numpy()
    store = TeacherStore.open(material.teacher, Vocabulary(head.get_buffer("vocabulary").numpy()))
    chosen = [int(np.abs(entries - pose).max(axis=(1, 2)).argmin()) for pose in poses]
    return float(np.mean([store.row(s.token)[SCORE][entry] for s, entry in zip(scenes, chosen, strict=True)]))


def test_the_weights_travel_with_the_checkpoint_and_score_what_was_said(
    material: Material, tune: Tune, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(tmp_path / "out") == 0
    said = json.loads((tmp_path / "out" / "tune.json").read_text())
    tuned = read_checkpoint(tmp_path / "out" / "tuned.ckpt")
    assert tuned.facts["tuning"] == said and tuned.facts["split"] == "val"
    held = tuned.planner["head"]["inference"]
    assert {name: held[name] for name in said["factors"]} == said["after"] != said["before"]
    assert held["ego_progress"] == PLAIN_V1.ego_progress
    before = read_checkpoint(material.checkpoint)
    assert all(torch.equal(value, tuned.state[name]) for name, value in before.state.items())
    assert "optimizer_states" not in torch.load(tmp_path / "out" / "tuned.ckpt", weights_only=True)
    assert said["score_before"] == pytest.approx(true_mean(material, material.checkpoint), abs=1e-6)
    assert said["score_after"] == pytest.approx(true_mean(material, tmp_path / "out" / "tuned.ckpt"), abs=1e-6)
    assert said["score_after"] > said["score_before"] + 0.02
    printed = capsys.readouterr().out
    assert "before" in printed and "on logs not searched" in printed and "tuned.ckpt" in printed


def test_finished_logs_are_not_planned_again(tune: Tune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tune(tmp_path / "out") == 0
    first = json.loads((tmp_path / "out" / "tune.json").read_text())
    parts = sorted((tmp_path / "out" / "confidences").glob("*.npz"))
    parts[0].write_bytes(parts[0].read_bytes()[:100])
    planned: list[str] = []
    real = confidences._collect_log

    def counted(planner: Any, split: Any, log_name: str, *rest: Any) -> Any:
        planned.append(log_name)
        return real(planner, split, log_name, *rest)

    monkeypatch.setattr(confidences, "_collect_log", counted)
    assert tune(tmp_path / "out") == 0
    assert planned == [parts[0].stem]
    again = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert {**again, "search_s": 0} == {**first, "search_s": 0}
    planned.clear()
    assert tune(tmp_path / "out", search__weighted="[1,20]") == 0  # another box needs other candidates
    assert len(planned) == len(parts)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"split": "test"}, "test set"),
        ({"split": "val"}, "shares"),
        ({"train_split": "train"}, "trained on"),
        ({"folds": 99}, "99 parts"),
        ({"search__imitation": "[1,0.1]"}, "search.imitation"),
    ],
)
def test_what_is_refused(
    tune: Tune, tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: dict[str, Any], words: str
) -> None:
    assert tune(tmp_path / "out", **keys) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out" / "tuned.ckpt").exists()


def test_a_planner_that_does_not_choose_has_nothing_to_tune(
    tune: Tune, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(PLANNER, name="mlp", head=MlpHeadConfig(hidden=4))
    state = {f"planner.{name}": value for name, value in config.build().state_dict().items()}
    facts = {"split": "train", "fingerprints": {"vocabulary": None}}
    write_values(tmp_path / "mlp.ckpt", {"state_dict": state, KEY: contents(planner_to_dict(config), facts)})
    assert tune(tmp_path / "out", checkpoint=tmp_path / "mlp.ckpt") == 2
    assert "nothing to tune" in capsys.readouterr().err

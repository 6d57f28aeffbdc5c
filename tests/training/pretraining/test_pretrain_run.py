"""Pre-training runs on a town: what they leave, exact resume, several ranks, and reasons to refuse."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, IJepaModel

from navforge.core.errors import ConfigError, DataError
from navforge.data.splits import load_split
from navforge.inputs.frames import FrameDataset, frame_files
from navforge.models.checkpoints import read_values
from navforge.models.encoders.configs import VisionConfig
from navforge.runs import exits
from navforge.runs.folder import RunFolder
from navforge.training.loop.curves import read_curves
from navforge.training.loop.stepper import Stepper
from navforge.training.pretraining.collapse import describe_collapse
from navforge.training.pretraining.config import PredictorConfig, PretrainConfig, PretrainLoopConfig, VitConfig
from navforge.training.pretraining.ijepa import encode, sine_cosine
from navforge.training.pretraining.learner import IJepaLearner, normalise
from navforge.training.pretraining.schedules import momentum_at
from navforge.training.run import train
from navforge.training.run_config import read_run_config
from tests.conftest import town_data
from tests.training.processes import run

pytestmark = pytest.mark.forks

Make = Callable[..., PretrainConfig]


@pytest.fixture
def make(tiny_town: Path, tmp_path: Path) -> Make:
    torch.set_num_threads(1)

    def build(out: str = "run", **changes: Any) -> PretrainConfig:
        train = {"epochs": 2, "batch_size": 8, "accelerator": "cpu", "keep_inputs": True, "loader_workers": 0}
        base = PretrainConfig(
            split="val",
            out=tmp_path / out,
            data=town_data(tiny_town),
            encoder=VitConfig(image_size=32, patch_size=4, width=24, depth=2, attention_heads=2),
            predictor=PredictorConfig(width=16, depth=1, attention_heads=2),
            train=PretrainLoopConfig(**{**train, **changes.pop("train", {})}),
        )
        return replace(base, **changes)

    return build


def killed_at(step: int) -> Callable[[int], None]:
    def fault(rank: int) -> None:
        whole, done = Stepper.finish, iter(range(10**6))

        def finish(self: Stepper, **where: Any) -> Any:
            if next(done) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(self, **where)

        Stepper.finish = finish  # type: ignore[method-assign]

    return fault


def same(first: Path, second: Path) -> None:
    """Curves, every weight of the last checkpoint and the encoders are equal to the bit."""
    assert (first / "steps.csv").read_bytes() == (second / "steps.csv").read_bytes()
    rows = [read_curves(folder / "epochs.csv") for folder in (first, second)]
    for row in (*rows[0], *rows[1]):
        del row["seconds"]
    assert rows[0] == rows[1]
    states = [read_values(folder / "checkpoints" / "last.ckpt")["state_dict"] for folder in (first, second)]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    encoders = [(folder / "encoder" / "model.safetensors").read_bytes() for folder in (first, second)]
    assert encoders[0] == encoders[1]


@pytest.mark.slow
def test_killed_by_9_and_resumed_is_the_uninterrupted_run(make: Make) -> None:
    config = make(train={"checkpoint_minutes": 0.0})
    steps = len(read_frames(config)) // 8
    assert steps >= 2
    assert run(config, fault=killed_at(steps + 1)) == [-signal.SIGKILL]
    assert not config.result.exists()
    assert read_values(config.out / "checkpoints" / "last.ckpt")["training"]["position"]["total"] == steps + 1
    assert run(config) == [exits.FINISHED]
    assert run(make("whole")) == [exits.FINISHED]
    same(config.out, make("whole").out)


def test_two_ranks_train_one_encoder(make: Make) -> None:
    config = make(devices=2, train={"batch_size": 4, "epochs": 1})
    assert run(config, world=2) == [exits.FINISHED, exits.FINISHED]
    assert AutoModel.from_pretrained(config.result).config.hidden_size == 24
    assert json.loads((config.result / "pretraining.json").read_text())["ranks"] == 2


def read_frames(config: PretrainConfig) -> Any:
    return frame_files(load_split(config.split, config.data), config.data, config.cameras, scenes_only=False)


def test_the_encoder_is_the_target_and_transformers_and_planners_load_it(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make(val_split="test")
    assert train(config) == config.result
    frames = read_frames(config)
    assert f"pre-training on {len(frames)} frames of {frames.logs} logs" in capsys.readouterr().err
    model = AutoModel.from_pretrained(config.result)
    assert isinstance(model, IJepaModel) and model.pooler is None
    state = read_values(config.out / "checkpoints" / "last.ckpt")["state_dict"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[f"model.target.{name}"]), name
    assert any(not torch.equal(v, state[f"model.encoder.{n}"]) for n, v in model.state_dict().items()), "the average"
    assert torch.equal(model.embeddings.position_embeddings[0], sine_cosine(24, 8))

    pixels = np.random.default_rng(0).integers(0, 256, (36, 64, 3), np.uint8)
    processor = AutoImageProcessor.from_pretrained(config.result)
    prepared = processor(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
    square = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    ours = normalise(torch.from_numpy(square.copy())[None])
    torch.testing.assert_close(prepared, ours, rtol=0, atol=1.5 / 255 / 0.224)  # rounding of the scaled pixels
    torch.testing.assert_close(model(ours).last_hidden_state, encode(model, ours), rtol=0, atol=1e-5)

    vision = VisionConfig(weights=str(config.result), height=32, width=32).build()
    tokens = vision.trunk_tokens({"panorama": torch.from_numpy(square.copy())[None]})
    torch.testing.assert_close(tokens, model(ours).last_hidden_state, rtol=0, atol=1e-5)

    rows = read_curves(config.out / "epochs.csv")
    names = ("loss", "feature_std", "effective_rank")
    assert all(float(row[f"{stage}/{name}"]) > 0 for row in rows for stage in ("train", "val") for name in names)
    text = (config.result / "README.md").read_text()
    facts = json.loads((config.result / "pretraining.json").read_text())
    assert f"{len(frames)} unlabelled camera frames of split val" in text
    assert facts["fingerprints"]["frames"] == frames.fingerprint and facts["fingerprints"]["frames"] in text
    assert facts["provenance"]["git"]["commit"] is None or facts["provenance"]["git"]["commit"] in text
    assert read_run_config(RunFolder(config.out).config) == config
    assert not [path for path in config.out.iterdir() if path.name.startswith(".encoder")]


def test_steps_move_the_target_by_the_momentum_of_their_number(make: Make) -> None:
    learner = IJepaLearner(config := make(momentum=0.9))
    optimiser = learner.optimiser(config.train)
    learner.schedule(optimiser, config.train, 10)
    before = [p.clone() for p in learner.model.target.parameters()]
    with torch.no_grad():
        for p in learner.model.encoder.parameters():
            p.add_(1.0)
    learner.after_step(5)
    share = 1 - momentum_at(5, 10, start=0.9)
    for old, new, source in zip(
        before, learner.model.target.parameters(), learner.model.encoder.parameters(), strict=True
    ):
        torch.testing.assert_close(new, old + share * (source - old))
    decayed = {id(p) for group in optimiser.param_groups if group["decayed"] for p in group["params"]}
    for name, p in learner.named_parameters():
        if p.requires_grad:
            assert (id(p) in decayed) == (p.ndim > 1 and "mask_token" not in name), name
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert held == {id(p) for p in learner.parameters() if p.requires_grad}


def test_all_frames_are_more_than_those_of_scenes(make: Make) -> None:
    config = make()
    split = load_split("val", config.data)
    every = read_frames(config)
    current = frame_files(split, config.data, config.cameras, scenes_only=True)
    assert [token.decode() for token in current.tokens] == [f"{token}.CAM_F0" for token in split.tokens]
    assert set(current.tokens) < set(every.tokens) and len(every) > len(current)
    both = frame_files(split, config.data, ("CAM_F0", "CAM_L0"), scenes_only=False)
    assert len(both) == 2 * len(every)
    example = FrameDataset(every, 20, keep_inputs=False)[0]
    assert example["frame"].shape == (3, 20, 20) and example["frame"].dtype == np.uint8
    first = np.asarray(Image.open(every.files[0].decode()).resize((20, 20), Image.Resampling.BILINEAR))
    assert np.array_equal(example["frame"], first.transpose(2, 0, 1))


def test_frames_without_image_are_counted_and_none_at_all_is_refused(make: Make, tmp_path: Path) -> None:
    config = make()
    every = read_frames(config)
    split = load_split("val", config.data)
    sparse = replace(config.data, sensors=tmp_path / "sensors")
    for file in every.files[:5]:
        kept = tmp_path / "sensors" / Path(file.decode()).relative_to(config.data.sensors)  # type: ignore[arg-type]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.symlink_to(file.decode())
    found = frame_files(split, sparse, config.cameras, scenes_only=False)
    assert (len(found), found.absent) == (5, len(every) - 5)
    assert found.describe() == f"5 frames of {found.logs} logs; {len(every) - 5} more have no image file"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"none of the {len(every)} frames of split val has an image of CAM_F0"):
        frame_files(split, replace(sparse, sensors=tmp_path / "empty"), config.cameras, scenes_only=False)


def test_a_collapsed_encoder_is_told(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"train/feature_std": 1e-4, "train/effective_rank": 30.0}
    assert IJepaLearner(make()).remarks(values) == [describe_collapse(1e-4, 30.0)]
    train(make(train={"epochs": 1}))
    said = capsys.readouterr().err
    assert re.search(r"train/feature_std 0?\.\d+  train/effective_rank \d+", said) and "collapsed" not in said


def test_another_run_in_the_folder_is_refused(make: Make) -> None:
    train(make(train={"epochs": 1}))
    with pytest.raises(ConfigError, match=r"differs in planner\.frames \(all -> scenes\)"):
        train(make(train={"epochs": 1}, frames="scenes"))


def test_what_cannot_be(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"train\.strategy: pre-training has no fsdp"):
        make(train={"strategy": "fsdp"})
    with pytest.raises(ConfigError, match=r"encoder\.image_size: 30 is not a multiple of encoder\.patch_size=4"):
        VitConfig(image_size=30, patch_size=4)
    with pytest.raises(ConfigError, match=r"encoder\.width: 30 is not a multiple of 4 and of"):
        VitConfig(width=30, attention_heads=2)
    with pytest.raises(DataError, match=r"split and val_split share \d+ frames"):
        train(make(val_split="val"))

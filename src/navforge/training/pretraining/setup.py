"""A pre-training run: its frames, its learner, and the encoder it leaves."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from lightning_fabric import Fabric

from navforge.core import config as configs
from navforge.core.errors import DataError
from navforge.core.screen import say
from navforge.data.splits import Split, load_split
from navforge.inputs.frames import FrameDataset, FrameFiles, frame_files
from navforge.runs.folder import RunFolder
from navforge.training.loop.trainer import Trainer
from navforge.training.pretraining.config import SCENES, PretrainConfig
from navforge.training.pretraining.learner import IJepaLearner
from navforge.training.pretraining.result import write_encoder
from navforge.training.ranks.heartbeat import Heartbeat
from navforge.training.ranks.messages import Ranks
from navforge.training.ranks.rank_info import RankInfo
from navforge.training.run_inputs import plain_provenance
from navforge.training.setup import Setup


@dataclass(frozen=True)
class PretrainInputs:
    """What a pre-training run reads."""

    split: Split
    frames: FrameFiles
    val_frames: FrameFiles | None
    fingerprints: dict[str, str | None]


def open_frames(config: PretrainConfig) -> PretrainInputs:
    """The frames of the split and of the validation split.

    Raises:
        DataError: logs or images are missing, or both splits have a frame.
    """
    names = [name for name in (config.split, config.val_split) if name is not None]
    splits = [load_split(name, config.data, allow_missing=config.allow_missing) for name in names]
    found = [frame_files(split, config.data, config.cameras, scenes_only=config.frames == SCENES) for split in splits]
    if len(splits) > 1 and (shared := set(found[0].tokens) & set(found[1].tokens)):
        raise DataError(
            f"split and val_split share {len(shared)} frames, {min(shared).decode()} for one; "
            "the validation loss would be meaningless"
        )
    fingerprints: dict[str, str | None] = {
        "split": splits[0].hash,
        "frames": found[0].fingerprint,
        "val_frames": found[1].fingerprint if len(found) > 1 else None,
    }
    return PretrainInputs(splits[0], found[0], found[1] if len(found) > 1 else None, fingerprints)


def frame_dataset(frames: FrameFiles, config: PretrainConfig) -> FrameDataset:
    """Examples; where corrupt images are tolerated, they are not all read in advance."""
    keep = config.train.keep_inputs and config.train.tolerate_corrupt == 0
    return FrameDataset(frames, config.frame_size, keep_inputs=keep)


@dataclass(frozen=True, kw_only=True)
class PretrainSetup(Setup):
    """Pre-trains an encoder."""

    config: PretrainConfig
    inputs: PretrainInputs

    @classmethod
    def open(cls, config: PretrainConfig, folder: RunFolder, rank_info: RankInfo, ranks: Ranks) -> PretrainSetup:
        """With what the run reads, opened."""
        inputs = open_frames(config)
        facts: dict[str, Any] = {
            "agent": config.title,
            "train": configs.to_dict(config.train),
            "ranks": rank_info.world_size,
            "split": inputs.split.name,
            "frames": len(inputs.frames),
            "missing_scenes": len(inputs.split.missing),
            "fingerprints": inputs.fingerprints,
            "provenance": plain_provenance(config),
        }
        return cls(config=config, folder=folder, rank_info=rank_info, ranks=ranks, inputs=inputs, facts=facts)

    @property
    def monitor(self) -> tuple[str, str]:
        """A loss; it ranks checkpoints, and says little of the features."""
        return ("train/loss" if self.inputs.val_frames is None else "val/loss"), "min"

    def learner(self, fabric: Fabric, beat: Heartbeat) -> IJepaLearner:
        """Encoders and predictor; says how many frames there are."""
        if self.ranks.first:
            say(f"pre-training on {self.inputs.frames.describe()}", file=sys.stderr, flush=True)
        return IJepaLearner(self.config)

    def examples(self) -> tuple[FrameDataset, FrameDataset | None]:
        """Frames."""
        val = self.inputs.val_frames
        return frame_dataset(self.inputs.frames, self.config), None if val is None else frame_dataset(val, self.config)

    def finish(self, trainer: Trainer) -> None:
        """Write the target encoder of the last step."""
        assert isinstance(trainer.parts.module, IJepaLearner), "made by `learner`"
        write_encoder(trainer.parts.module.model.target, self.config, self.facts, steps=trainer.at.total)

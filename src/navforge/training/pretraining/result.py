"""The encoder a pre-training run leaves, in the Hugging Face layout, with a card that says where it comes from."""

from __future__ import annotations

import os
import shutil
import uuid
from typing import TYPE_CHECKING, Any

import yaml
from PIL import Image

from navforge.core import config as configs
from navforge.core import provenance
from navforge.core.files import write_json, write_text
from navforge.training.pretraining.config import PretrainConfig
from navforge.training.pretraining.learner import MEAN, STD

if TYPE_CHECKING:
    from transformers import IJepaModel

CARD, FACTS = "README.md", "pretraining.json"


def write_encoder(encoder: IJepaModel, config: PretrainConfig, facts: dict[str, Any], *, steps: int) -> None:
    """Write `RUN/encoder`: weights and config, the image processor's config, the card, and facts as JSON.

    The folder is there whole or not at all. `transformers.AutoModel` and `AutoImageProcessor` read it.

    Args:
        encoder: the target encoder, which the paper evaluates.
        config: of the run.
        facts: as in its checkpoints.
        steps: optimiser steps taken.
    """
    from transformers import ViTImageProcessor  # noqa: PLC0415 (seconds, which other training need not wait)

    name = f".{config.result.name}.{uuid.uuid4().hex}"
    partial, old = config.result.with_name(f"{name}.partial"), config.result.with_name(f"{name}.old")
    try:
        encoder.save_pretrained(partial)
        side = config.encoder.image_size
        processor = ViTImageProcessor(
            size={"height": side, "width": side},
            resample=Image.Resampling.BILINEAR,
            image_mean=list(MEAN),
            image_std=list(STD),
        )
        processor.save_pretrained(partial)
        write_text(partial / CARD, card(config, facts, steps=steps))
        write_json(partial / FACTS, {**config.subject, "steps": steps, **facts})
        if config.result.exists():
            os.rename(config.result, old)
        os.rename(partial, config.result)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def card(config: PretrainConfig, facts: dict[str, Any], *, steps: int) -> str:
    """Text of the model card."""
    shape = config.encoder
    head = yaml.safe_dump(
        {"library_name": "transformers", "pipeline_tag": "image-feature-extraction", "tags": ["i-jepa", "navforge"]},
        sort_keys=False,
    )
    prints = ", ".join(f"{name} {value}" for name, value in facts["fingerprints"].items() if value is not None)
    keys = yaml.safe_dump({**config.subject, "train": configs.to_dict(config.train)}, sort_keys=False)
    found = facts["provenance"]
    return f"""\
---
{head}---

# I-JEPA encoder of width {shape.width}, depth {shape.depth}, patches of {shape.patch_size} px at {shape.image_size} px

Pre-trained by navforge {found["navforge"]} on {facts["frames"]} unlabelled camera frames of split {facts["split"]}
({", ".join(config.cameras)}), {steps} steps on {facts["ranks"]} rank(s). This is the target encoder after the last
step. It has no class token. Its position embeddings are fixed sines and cosines.

    from transformers import AutoImageProcessor, AutoModel
    model = AutoModel.from_pretrained("{config.result.name}")
    processor = AutoImageProcessor.from_pretrained("{config.result.name}")

A frame is resized to a square as a whole, whatever its shape, as the processor does.

- Commit of navforge: {provenance.describe_git(found["git"])}
- Written: {found["written"]}
- Fingerprints: {prints}

## Config

```yaml
{keys}```
"""

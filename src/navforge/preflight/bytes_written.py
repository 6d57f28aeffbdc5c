"""Bytes that verbs will write, predicted from their keys and the number of scenes before anything is there."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from navforge.core.errors import NavforgeError
from navforge.core.provenance import PACKAGE
from navforge.inputs.input_spec import InputSpec
from navforge.models.encoders.configs import VisionConfig
from navforge.models.modules import TrunkEncoder
from navforge.models.planner_config import PlannerConfig
from navforge.preflight.disk import checkpoint_bytes
from navforge.training.recipes.vision import ARCHITECTURES
from navforge.training.run_config import RunConfig

CACHE_SCENE = 22_200
"""Bytes of a scene in a metric cache: of two real logs (docs/benchmarks.md); scenes of town take a third."""
EVALUATION_SCENE = 550
"""Bytes of a scene in an evaluation of two protocols: plan, scores, metrics; of town."""
JPEG = 0.15
"""Share of an image's bytes that JPEG of quality 95 takes (docs/input-store.md)."""
STATUS, HISTOGRAM, PERCEPTION = 200, 5_000, 1_600
"""Bytes of a scene in an input store beside its images: status and the human's plan; the compressed histogram; vehicles
and semantics of the ground."""
_KEPT = 2
"""Checkpoints beside the best ones: the last, and the one before."""


class PlannerSizes(NamedTuple):
    """What of a planner decides sizes of files."""

    checkpoint: int
    """Bytes of one checkpoint."""
    tokens: int
    """Numbers that its encoder makes of a scene; 0 where the encoder learns."""


def bytes_written(verb: str, config: Any, scenes: int | None) -> int | None:
    """What a verb will write; None where that cannot be told.

    Args:
        verb: its name.
        config: its keys.
        scenes: of its splits together; None where that is not known.
    """
    if isinstance(config, RunConfig):
        return _run(config)
    if scenes is None:
        return None
    if verb == "cache":
        return scenes * CACHE_SCENE
    if verb == "evaluate":
        return scenes * EVALUATION_SCENE
    if verb == "pack":
        return scenes * _inputs(InputSpec.of(config.planner))
    if verb == "encode" and (sizes := planner_sizes(config.planner)) is not None:
        return scenes * sizes.tokens * getattr(torch, config.dtype).itemsize
    return None


def _run(config: RunConfig) -> int | None:
    """Checkpoints and the snapshot of the code; logs and curves are small."""
    sizes = planner_sizes(config.planner)
    if sizes is None:
        return None
    return (_KEPT + config.train.keep_best) * sizes.checkpoint + package_bytes()


def _inputs(spec: InputSpec) -> int:
    image, view = 0.0, spec.panorama
    if view is not None:
        image = 3 * view.height * view.width * view.views * (1 if view.quality is None else JPEG)
    perception = PERCEPTION if len(spec.targets) > 1 else 0
    return round(image) + STATUS + (HISTOGRAM if spec.lidar is not None else 0) + perception


@lru_cache
def planner_sizes(planner: PlannerConfig) -> PlannerSizes | None:
    """Sizes of a planner, built without memory for its weights; None where its encoder's files are not here.

    The encoders of published recipes are known without their files.
    """
    encoder = planner.encoder
    if isinstance(encoder, VisionConfig) and encoder.architecture is None and encoder.weights in ARCHITECTURES:
        network, architecture = ARCHITECTURES[encoder.weights]
        encoder = replace(encoder, network=network, architecture=architecture)
    with contextlib.suppress(NavforgeError), torch.device("meta"):
        built = replace(planner, encoder=encoder).build(pretrained=False)
        outside = set()
        if getattr(encoder, "weights", None) is not None and getattr(encoder, "tune", "full") != "full":
            outside = {f"encoder.{name}" for name in built.encoder.frozen_names()}
        held = sum(value.nbytes for name, value in built.state_dict().items() if name not in outside)
        learned = sum(value.numel() for value in built.parameters() if value.requires_grad)
        tokens = 0
        if encoder.is_frozen and isinstance(built.encoder, TrunkEncoder) and planner.panorama is not None:
            tokens = _tokens(built.encoder, planner)
        return PlannerSizes(checkpoint_bytes(held, learned), tokens)
    return None


@torch.no_grad()
def _tokens(encoder: TrunkEncoder, planner: PlannerConfig) -> int:
    view = planner.panorama
    assert view is not None, "the caller asks"
    shape = (3, view.height, view.width) if view.views == 1 else (view.views, 3, view.height, view.width)
    return encoder.eval().trunk_tokens({"panorama": torch.zeros(1, *shape)}).numel()


@lru_cache
def package_bytes(package: Path = PACKAGE) -> int:
    """Bytes of the snapshot of the code in a run folder."""
    return sum(path.stat().st_size for path in package.rglob("*") if path.is_file())

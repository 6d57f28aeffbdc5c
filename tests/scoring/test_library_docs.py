"""The examples of docs/scoring-library.md run, and the reward they show is worth climbing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tests.scoring.scenes import Sketch, Thing, random_plans, two_lane_road

DOCUMENT = Path(__file__).parents[2] / "docs" / "scoring-library.md"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_examples_run() -> None:
    import torch  # noqa: PLC0415 (slow to import)

    torch.manual_seed(0)
    scenes = [Sketch(polygons=two_lane_road(), speed=speed, things=[Thing(x=28.0, y=0.0)]).scene() for speed in (5, 9)]
    first, reward = blocks()
    known = {"scenes": scenes, "trajectories": np.stack([random_plans(np.random.default_rng(s), 3) for s in range(2)])}
    exec(first, known)
    assert known["result"].score.shape == (2, 3)
    known = {"scenes": scenes, "features": torch.eye(2)}
    exec(reward, known)
    untrained = known["reward"]
    assert untrained.shape == (2, 64)
    exec(reward.replace("range(3)", "range(60)"), known)
    assert known["reward"].mean() > untrained.mean() + 0.1

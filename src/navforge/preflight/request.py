"""What the probe is to measure, and what it reports: shared by the process that asks and the one that measures."""

from __future__ import annotations

from dataclasses import dataclass

from navforge.data.splits import Split
from navforge.inputs.frames import FrameFiles
from navforge.preflight.finding import Finding
from navforge.preflight.memory import LoaderCost
from navforge.preflight.steps import StepCost
from navforge.training.run_base import RunBase

EVALUATION, LOADING, STEP = "evaluation", "loading", "step"
STAGES = {"reading": LOADING, "planner": "planner", EVALUATION: EVALUATION, LOADING: LOADING, STEP: STEP}
"""What the process says it begins with -> the check that fails if it dies there."""
SCENES = 64
"""Scenes of the split that are read."""
EVALUATED = 2


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to measure."""

    config: RunBase
    split: Split
    frames: FrameFiles | None
    """Some frames of the split, where frames are what is learned from."""
    scenes: int
    val_scenes: int
    batch_sizes: tuple[int, ...]
    """Sizes of a step to try, growing; the last is the one wanted."""
    memory_bytes: int
    """Memory the process may take: of this machine, or of its GPU where steps run there."""
    evaluate: bool
    """Whether the metric cache can be used."""
    threads: int
    """Threads of a rank on the CPU, by which it computes."""
    count: bool
    """Whether GPU memory is to be counted from tensor sizes, no GPU being here."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came back."""

    loader: LoaderCost | None = None
    step: StepCost | None = None
    start_s: float | None = None
    """From the start of a process to its first step, with an evaluation: imports, reading, compiled code."""
    checkpoint_s: float | None = None
    """To write a checkpoint."""
    findings: tuple[Finding, ...] = ()

"""What a planner reads of a scene, part by part, and the fingerprint of everything that decides each part's bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import PIL
import torchvision

from navforge.core import config as configs
from navforge.core.code import module_hashes
from navforge.core.files import fingerprint
from navforge.models.contract import AGENTS, BEV_SEMANTICS
from navforge.models.histogram import HistogramConfig
from navforge.models.panorama import PanoramaConfig
from navforge.models.perception import BEV_CLASSES, BEV_SHAPE, MOST_AGENTS, REACH_M
from navforge.models.planner_config import PlannerConfig

STATUS = "status"
STATUS_HISTORY = "status_history"
PANORAMA = "panorama"
LIDAR = "lidar"
HUMAN_POSES = "human_poses"
HUMAN_POSE_COUNT = 8
"""Poses of the human's plan at 2 Hz."""

_COMMON_CODE = ("navforge.data.scenes", "navforge.inputs.stored")
_CODE = {
    STATUS: _COMMON_CODE,
    STATUS_HISTORY: _COMMON_CODE,
    HUMAN_POSES: _COMMON_CODE,
    PANORAMA: (*_COMMON_CODE, "navforge.data.sensors", "navforge.inputs.jpeg", "navforge.models.panorama"),
    LIDAR: (*_COMMON_CODE, "navforge.data.lidar", "navforge.data.sensors", "navforge.models.histogram"),
    AGENTS: (*_COMMON_CODE, "navforge.inputs.targets"),
    BEV_SEMANTICS: (*_COMMON_CODE, "navforge.inputs.targets"),
}
"""Modules that, with all they import, decide a part's bytes."""
_ASSEMBLY = ("navforge.inputs.read", "navforge.inputs.input_spec")
"""Modules that put the parts together."""


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Inputs of a planner, and the targets it learns from. Nothing else is read."""

    panorama: PanoramaConfig | None
    lidar: HistogramConfig | None
    status_frames: int
    """Frames of ego status; more than one are the part `status_history`, beside `status`."""
    targets: tuple[str, ...]
    """Of `human_poses`, `agents` and `bev_semantics`."""

    @staticmethod
    def of(planner: PlannerConfig, *, targets: bool = True) -> InputSpec:
        """What a planner reads to learn, or with `targets=False` to plan."""
        learned = (HUMAN_POSES, *planner.auxiliary_targets) if targets else ()
        return InputSpec(
            panorama=planner.panorama, lidar=planner.lidar, status_frames=planner.status_frames, targets=learned
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Parts that a planner reads to plan, in the order they are stored."""
        asked = {STATUS_HISTORY: self.status_frames > 1, PANORAMA: self.panorama, LIDAR: self.lidar}
        return (STATUS, *(name for name, config in asked.items() if config))

    @property
    def sensors(self) -> tuple[str, ...]:
        """Of the inputs, those made of sensor files."""
        return tuple(name for name in self.inputs if name not in (STATUS, STATUS_HISTORY))

    @property
    def without_sensors(self) -> InputSpec:
        """The parts that are read from the log alone."""
        return replace(self, panorama=None, lidar=None)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts, in the order they are stored."""
        return (*self.inputs, *self.targets)

    @property
    def configs(self) -> dict[str, dict[str, Any]]:
        """Plain configuration of each part; empty for parts that have none."""
        found: dict[str, dict[str, Any]] = {name: {} for name in self.parts}
        if STATUS_HISTORY in found:
            found[STATUS_HISTORY] = {"frames": self.status_frames}
        if self.panorama is not None:
            found[PANORAMA] = configs.to_dict(self.panorama)
        if self.lidar is not None:
            found[LIDAR] = configs.to_dict(self.lidar)
        if AGENTS in found:
            found[AGENTS] = {"most": MOST_AGENTS, "reach_m": REACH_M}
        if BEV_SEMANTICS in found:
            found[BEV_SEMANTICS] = {"classes": list(BEV_CLASSES), "shape": list(BEV_SHAPE), "reach_m": REACH_M}
        return found

    @property
    def codes(self) -> dict[str, str]:
        """Fingerprint of the code of each part, the libraries that decode, scale, draw and encode included."""
        libraries = [cv2.__version__, PIL.__version__, torchvision.__version__]
        return {
            name: fingerprint(fingerprint(self.modules(name)), libraries if name in (PANORAMA, BEV_SEMANTICS) else [])
            for name in self.parts
        }

    def modules(self, *parts: str) -> Mapping[str, str]:
        """Hash of each module that decides the bytes of some parts, by name."""
        return module_hashes(*dict.fromkeys(module for name in parts for module in _CODE[name]), alone=_ASSEMBLY)

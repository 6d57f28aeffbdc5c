"""Every encoder there is; to add one, write its module and add its config to `ENCODERS`."""

from __future__ import annotations

from navforge.models.contract import EncoderConfig
from navforge.models.encoders.ego_status import EgoStatusConfig
from navforge.models.encoders.timm_camera import TimmCameraConfig
from navforge.models.encoders.transfuser import TransfuserConfig

ENCODERS: tuple[type[EncoderConfig], ...] = (EgoStatusConfig, TimmCameraConfig, TransfuserConfig)

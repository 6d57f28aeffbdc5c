"""Every head there is; to add one, write its module and add its config to `HEADS`."""

from __future__ import annotations

from navforge.models.contract import HeadConfig
from navforge.models.heads.hydra_mdp import HydraMdpConfig
from navforge.models.heads.mlp import MlpHeadConfig
from navforge.models.heads.transfuser import TransfuserHeadConfig

HEADS: tuple[type[HeadConfig], ...] = (HydraMdpConfig, MlpHeadConfig, TransfuserHeadConfig)

"""Every conversion there is; to add one, write its module and add it to `CONVERSIONS`."""

from __future__ import annotations

from navforge.models.conversion import Conversion
from navforge.models.conversions.hydra_mdp import GTRS_DENSE
from navforge.models.conversions.transfuser import TRANSFUSER

CONVERSIONS: tuple[Conversion, ...] = (TRANSFUSER, GTRS_DENSE)

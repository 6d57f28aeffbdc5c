"""The ego vehicle of NAVSIM: a Chrysler Pacifica. Source: nuPlan's `get_pacifica_parameters`."""

from __future__ import annotations

EGO_LENGTH_M = 5.176
EGO_WIDTH_M = 2.297
EGO_HEIGHT_M = 1.777
REAR_AXLE_TO_CENTER_M = 1.461
WHEEL_BASE_M = 3.089

"""Keys of `navforge evaluate`."""

from navforge.evaluation.config import EvaluateConfig as Config

__all__ = ["SELF_CHECK", "Config"]

SELF_CHECK = True

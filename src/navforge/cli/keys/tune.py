"""Keys of `navforge tune`."""

from navforge.tuning.config import TuneConfig as Config

__all__ = ["Config"]

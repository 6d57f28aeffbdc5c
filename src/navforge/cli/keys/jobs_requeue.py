"""Keys of `navforge jobs requeue`: those of `navforge jobs cancel`."""

from navforge.cli.keys.jobs_cancel import POSITIONAL, Config

__all__ = ["POSITIONAL", "Config"]

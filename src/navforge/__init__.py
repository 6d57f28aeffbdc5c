"""Train, score and compare end-to-end driving planners on the NAVSIM benchmark."""

from pathlib import Path

from navforge.core.host import complete_environment

complete_environment(Path(__file__).parent)

"""The numerics self-check as a finding."""

from __future__ import annotations

from collections.abc import Iterator

from navforge.core.errors import NavforgeError
from navforge.preflight.finding import Finding, ok, refused
from navforge.simulation import selfcheck

NUMERICS = "numerics"


def check_numerics() -> Iterator[Finding]:
    """Simulated trajectories of this machine against known ones."""
    try:
        selfcheck.check()
    except NavforgeError as error:
        yield refused(NUMERICS, str(error), "another node: #SBATCH --exclude=NAME; delete __pycache__ folders")
    else:
        yield ok(NUMERICS, f"simulated trajectories agree with known ones to {selfcheck.TOLERANCE:g}")

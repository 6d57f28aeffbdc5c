"""What a check found, and the report of all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from navforge.core.errors import NavforgeError
from navforge.training.run_config import RunConfig

OK, WARNING, REFUSED = "ok", "warning", "refused"


class PreflightError(NavforgeError):
    """A job was refused before it started."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the preflight table."""

    check: str
    """Name of the check; `force=` takes it."""
    level: str
    """`ok`, `warning` or `refused`."""
    message: str
    """What was found, with the numbers."""
    remedy: str = ""
    """What to do, as words to type where possible; empty where all is well."""


def ok(check: str, message: str) -> Finding:
    """Nothing wrong."""
    return Finding(check=check, level=OK, message=message)


def warning(check: str, message: str, remedy: str = "") -> Finding:
    """Doubtful or not known; the job may start."""
    return Finding(check=check, level=WARNING, message=message, remedy=remedy)


def refused(check: str, message: str, remedy: str) -> Finding:
    """The job may not start."""
    return Finding(check=check, level=REFUSED, message=message, remedy=remedy)


@dataclass(frozen=True)
class Report:
    """All findings of a preflight, and the figures they rest on."""

    findings: tuple[Finding, ...]
    figures: dict[str, Any] = field(default_factory=dict)
    """Plain values by name (see `submission.figures`); what was not measured is absent."""
    config: RunConfig | None = None
    """The run's config with numbers for what was `auto`."""

    @property
    def refused(self) -> tuple[Finding, ...]:
        """What forbids the job to start."""
        return tuple(finding for finding in self.findings if finding.level == REFUSED)

    def accept(self, checks: Collection[str]) -> Report:
        """The report with refusals of these checks turned into warnings that say so."""
        findings = tuple(
            replace(finding, level=WARNING, message=f"accepted by force={finding.check}: {finding.message}")
            if finding.level == REFUSED and finding.check in checks
            else finding
            for finding in self.findings
        )
        return replace(self, findings=findings)

    def require(self) -> None:
        """Do nothing, or raise PreflightError with every refusal and its remedy."""
        if self.refused:
            lines = [f"{finding.check}: {finding.message}; {finding.remedy}" for finding in self.refused]
            raise PreflightError("preflight refuses this job: " + "\n  ".join(["", *lines]).strip())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `preflight.json`."""
        return {
            "refused": bool(self.refused),
            "findings": [asdict(finding) for finding in self.findings],
            "figures": self.figures,
        }


def join(parts: Iterable[Iterable[Finding]]) -> tuple[Finding, ...]:
    """Findings of several checks in one tuple."""
    return tuple(finding for part in parts for finding in part)

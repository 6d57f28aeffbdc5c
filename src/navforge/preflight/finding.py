"""What a check found, and the report of all of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from navforge.core.errors import NavforgeError
from navforge.core.os_errors import describe_os_error
from navforge.training.run_base import RunBase
from navforge.training.run_config import run_config_to_dict

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


def refused_by(check: str, error: NavforgeError | OSError, remedy: str = "see the message") -> Finding:
    """An error as a refusal; the remedy of a NavforgeError is what stands behind its last semicolon, else `remedy`."""
    if isinstance(error, OSError):
        return refused(check, *describe_os_error(error))
    message, _, own = str(error).rpartition("; ")
    return refused(check, message, own) if message else refused(check, own, remedy)


@dataclass(frozen=True)
class Report:
    """All findings of a preflight, and the figures they rest on."""

    findings: tuple[Finding, ...]
    figures: dict[str, Any] = field(default_factory=dict)
    """Plain values by name (see `submission.figures`); what was not measured is absent."""
    config: RunBase | None = None
    """The run's config with numbers for what was `auto`."""
    command: str | None = None
    """The training command that was judged without its run, where it is another program's."""
    not_judged: tuple[str, ...] = ()
    """Checks that need the run."""

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
            **({} if self.config is None else {"run": run_config_to_dict(self.config)}),
            **({} if self.command is None else {"command": self.command, "not_judged": list(self.not_judged)}),
        }


def join(parts: Iterable[Iterable[Finding]]) -> tuple[Finding, ...]:
    """Findings of several checks in one tuple."""
    return tuple(finding for part in parts for finding in part)


def in_order(findings: Iterable[Finding], names: Sequence[str]) -> tuple[Finding, ...]:
    """Findings in the order of their checks' names."""
    return tuple(sorted(findings, key=lambda finding: names.index(finding.check)))

"""`preflight.json` of a run folder: what was found and measured before submission, and what was accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from navforge.core.errors import DataError
from navforge.core.files import write_json
from navforge.core.outside.records import record
from navforge.core.outside.text import read_json
from navforge.preflight.context import PreflightContext
from navforge.preflight.finding import Report
from navforge.preflight.memory import LoaderCost
from navforge.preflight.steps import StepCost

FILE = "preflight.json"
_REMEDY = "delete it or run navforge preflight again"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What ranks need of an earlier preflight."""

    accepted: tuple[str, ...] = ()
    """Checks whose refusal the user accepted."""
    loader: LoaderCost | None = None
    step: StepCost | None = None


def write_record(out: Path, report: Report, context: PreflightContext, accepted: Sequence[str]) -> None:
    """Write a run folder's record."""
    measured = {
        "loader": None if context.loader is None else asdict(context.loader),
        "step": None if context.step is None else asdict(context.step),
    }
    write_json(out / FILE, {**report.to_dict(), "accepted": list(accepted), "measured": measured})


def read_record(out: Path) -> Record:
    """The record of a run folder; an empty one where no preflight was run.

    Raises:
        DataError: it is damaged.
    """
    path = out / FILE
    if not path.is_file():
        return Record()
    values = read_json(path, "preflight record", remedy=_REMEDY)
    try:
        return record(Record, {"accepted": values["accepted"], **values["measured"]})
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"preflight record {path} is damaged: {error}; {_REMEDY}") from error

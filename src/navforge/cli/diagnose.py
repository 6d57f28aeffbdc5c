"""`navforge diagnose RUN`: what ended a run, what shows it, and the command that helps."""

from __future__ import annotations

from rich.padding import Padding
from rich.text import Text

from navforge.cli.keys.diagnose import Config
from navforge.core.screen import Screen
from navforge.jobs.diagnose import diagnose
from navforge.jobs.diagnosis import CAUSES, HARMLESS, Diagnosis
from navforge.jobs.evidence import gather
from navforge.runs.folder import RunFolder

SHOWN_WIDTH = 300
"""Of a longer line only this much is quoted."""


def run(config: Config) -> None:
    """Print the diagnosis."""
    evidence = gather(RunFolder(config.run))
    _print(diagnose(evidence), evidence.notes)


def _print(diagnosis: Diagnosis, notes: tuple[str, ...]) -> None:
    console = Screen()
    colour = "green" if diagnosis.cause in HARMLESS else "red"
    console.print(Text(f"{diagnosis.cause}: {CAUSES[diagnosis.cause]}", style=f"bold {colour}"))
    console.print(Text(diagnosis.summary))
    if diagnosis.evidence:
        console.print(Text("\nevidence", style="bold"))
        for line in diagnosis.evidence:
            shown = str(line)
            console.print(
                Padding(Text(shown[:SHOWN_WIDTH] + ("..." if len(shown) > SHOWN_WIDTH else "")), (0, 0, 0, 2))
            )
    if diagnosis.remedy:
        console.print(Text("\nremedy", style="bold"))
        for command in diagnosis.remedy:
            console.print(Text(f"  {command}", no_wrap=True, overflow="ignore"), crop=False, soft_wrap=True)
    for note in notes:
        console.print(Text(f"note: {note}", style="yellow"))

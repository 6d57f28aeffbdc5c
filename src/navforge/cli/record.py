"""`navforge record root=FOLDER`: every run with what tells it apart, its scores, its cost, and how to repeat it."""

from __future__ import annotations

from navforge.cli.jobs import default_root
from navforge.cli.keys.record import Config
from navforge.core import provenance
from navforge.core.screen import say, screen
from navforge.record.record import read_record
from navforge.reports.experiment_record import MARKDOWN, RUNS, SCORES, write_record
from navforge.reports.record_tables import record_sections
from navforge.reports.sections import print_section


def run(config: Config) -> None:
    """Print the tables; write them, and a card for each run, as Markdown and CSV."""
    root = config.root or default_root()
    record = read_record(root)
    console = screen(width=160)
    for section in record_sections(record):
        print_section(console, section)
    for note in record.notes:
        say(f"note: {note}")
    out = config.out or root / "record"
    write_record(record, out)
    provenance.record(out, config, name="record")
    say(f"\n{out / MARKDOWN} (how to repeat each run), {RUNS}, {SCORES}")

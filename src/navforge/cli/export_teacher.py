"""`navforge export-teacher`: a teacher store as the pickled table that public code loads."""

from __future__ import annotations

from navforge.cli.keys.export_teacher import Config
from navforge.core.screen import say
from navforge.teacher.importing import export_table
from navforge.teacher.store import TeacherStore
from navforge.teacher.tables import layout
from navforge.vocabulary.vocabulary import Vocabulary


def run(config: Config) -> None:
    """Write the table and say how large it is."""
    store = TeacherStore.open(config.teacher, Vocabulary.load(config.vocabulary))
    scenes = export_table(store, config.out, layout(config.layout))
    say(
        f"{config.out}: {scenes} scenes of {store.protocol} as a {config.layout} table, float16, "
        f"{config.out.stat().st_size / 1e6:.1f} MB"
    )

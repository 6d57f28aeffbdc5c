"""`navforge export-teacher`: a teacher store as the pickled table that public code loads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.core.config import key
from navforge.core.screen import say
from navforge.teacher.importing import export_table
from navforge.teacher.store import TeacherStore
from navforge.teacher.tables import LAYOUTS, layout
from navforge.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge export-teacher`."""

    teacher: Path = key(help="teacher store")
    vocabulary: Path = key(help="vocabulary file (.npy) of the store")
    out: Path = key(help="pickle file to write")
    layout: str = key("gtrs", "whose keys to write", choices=tuple(known.name for known in LAYOUTS))


def run(config: Config) -> None:
    """Write the table and say how large it is."""
    store = TeacherStore.open(config.teacher, Vocabulary.load(config.vocabulary))
    scenes = export_table(store, config.out, layout(config.layout))
    say(
        f"{config.out}: {scenes} scenes of {store.protocol} as a {config.layout} table, float16, "
        f"{config.out.stat().st_size / 1e6:.1f} MB"
    )

"""`navforge import-teacher`: a published teacher table (a pickle) as a teacher store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from navforge.cli.teach import describe
from navforge.core import provenance
from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.core.screen import say
from navforge.scoring.protocols import PROTOCOLS, protocol
from navforge.teacher.importing import EP_RULES, import_table
from navforge.teacher.tables import LAYOUTS, layout
from navforge.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Config:
    """Keys of `navforge import-teacher`."""

    source: Path = key(help="pickled table: token -> column -> array over the vocabulary")
    vocabulary: Path = key(help="vocabulary file (.npy) the table was made with; the table does not say which")
    out: Path = key(help="folder of the teacher store")
    layout: str = key("gtrs", "whose keys the table has", choices=tuple(known.name for known in LAYOUTS))
    protocol: str | None = key(
        None,
        f"rules the table follows ({', '.join(known.name for known in PROTOCOLS)}); auto: those of its layout",
        none="auto",
    )
    ep_rule: str = key(
        "unknown",
        "how its ego progress was normalised: against PDM-Closed alone (gated), the best of the vocabulary (batch)",
        choices=tuple(EP_RULES),
    )


def run(config: Config) -> None:
    """Convert the table and say what it holds."""
    table = layout(config.layout)
    rules = protocol(config.protocol or table.protocol)
    foreign = [column for column in table.keys if column not in (*rules.columns, "score")]
    if foreign:
        raise ConfigError(f"protocol: {rules.name} has no {', '.join(foreign)}, which {table.name} tables hold")
    vocabulary = Vocabulary.load(config.vocabulary)
    store = import_table(config.source, config.out, vocabulary, table, rules, ep_rule=config.ep_rule)
    provenance.record(config.out, config, name="import-teacher")
    say(describe(store))

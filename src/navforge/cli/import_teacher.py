"""`navforge import-teacher`: a published teacher table (a pickle) as a teacher store."""

from __future__ import annotations

from navforge.cli.keys.import_teacher import Config
from navforge.cli.teach import describe
from navforge.core import provenance
from navforge.core.errors import ConfigError
from navforge.core.screen import say
from navforge.scoring.protocols import protocol
from navforge.teacher.importing import import_table
from navforge.teacher.tables import layout
from navforge.vocabulary.vocabulary import Vocabulary


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

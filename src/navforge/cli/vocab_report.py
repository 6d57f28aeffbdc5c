"""`navforge vocab report FILE`: what a vocabulary can do: limits, distance to human trajectories, oracle scores."""

from __future__ import annotations

from rich.text import Text

from navforge.cli.keys.vocab_report import Config
from navforge.core import provenance
from navforge.core.files import write_json
from navforge.core.parallel import progress
from navforge.core.screen import screen
from navforge.data.splits import Split, load_split
from navforge.metric_cache.store import MetricCache
from navforge.reports.sections import print_section
from navforge.reports.vocabulary_page import worst_scenes, write_vocabulary_page
from navforge.reports.vocabulary_report import HumanComparison, VocabularyReport
from navforge.reports.vocabulary_tables import sections
from navforge.teacher.oracle import Oracle, losses, oracle
from navforge.teacher.store import SCORE, TeacherStore
from navforge.vocabulary.harvest import human_trajectories
from navforge.vocabulary.vocabulary import Vocabulary


def run(config: Config) -> None:
    """Print the tables and write the page and the numbers."""
    report, cache = _measure(config)
    pictures = () if cache is None else worst_scenes(report, cache)
    write_json(config.folder / "report.json", report.to_dict())
    write_vocabulary_page(config.folder / "report.html", report, worst=pictures, provenance=_provenance(config))
    provenance.record(config.folder, config, name="report")
    console = screen(width=120)
    console.print(Text(f"{config.vocabulary}: {report.vocabulary.size} entries", style="bold"))
    for section in sections(report):
        print_section(console, section)
    for line in report.left_out:
        console.print(f"left out: {line}", style="yellow")
    console.print(f"\n{config.folder / 'report.html'}", soft_wrap=True)


def _measure(config: Config) -> tuple[VocabularyReport, MetricCache | None]:
    """The report, and the metric cache if one is given; what does not fit is refused before any work."""
    vocabulary = Vocabulary.load(config.vocabulary)
    store = None if config.store is None else TeacherStore.open(config.store, vocabulary)
    cache = None if config.cache is None else MetricCache.open(config.cache)
    split = None
    if config.split is not None:
        split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    oracle = None if store is None else _oracle(store, split, cache)
    report = VocabularyReport(
        name=config.vocabulary.name,
        vocabulary=vocabulary,
        human=None if split is None else _human(split, vocabulary, config),
        oracle=oracle,
        store="" if store is None else store.fingerprint,
        losses=losses(store, oracle, oracle.worst(config.scenes).tolist())
        if store is not None and oracle is not None
        else (),
    )
    return report, cache


def _human(split: Split, vocabulary: Vocabulary, config: Config) -> HumanComparison:
    poses = human_trajectories(split, config.data, workers=config.workers)
    return HumanComparison(split.name, split.tokens, poses, vocabulary)


def _oracle(store: TeacherStore, split: Split | None, cache: MetricCache | None) -> Oracle:
    """Of the split's scenes, or else of all in the store."""
    tokens = store.tokens if split is None else split.tokens
    store.require(
        tokens=tokens,
        columns=(SCORE,),
        protocol=store.protocol,
        cache=None if cache is None else cache.fingerprint,
    )
    with progress("oracle", len(tokens)) as bar:
        return oracle(store, tokens, step=lambda done: bar.update(bar.task_ids[0], completed=done))


def _provenance(config: Config) -> tuple[tuple[str, str], ...]:
    facts = provenance.collect()
    given = {"vocabulary": config.vocabulary, "split": config.split, "teacher store": config.store}
    return (
        ("navforge", f"{facts['navforge']}, commit {facts['git']['commit']}"),
        *((name, str(value)) for name, value in given.items() if value is not None),
        ("written", facts["written"]),
    )

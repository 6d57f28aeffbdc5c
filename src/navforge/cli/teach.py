"""`navforge teach`: what the scoring engine says of every vocabulary entry on every scene of a split."""

from __future__ import annotations

from navforge.cli.keys.teach import Config
from navforge.cli.notices import print_report, warn
from navforge.core import provenance
from navforge.core.build import Executor
from navforge.core.device import pick_device
from navforge.core.products import TEACHER, claim
from navforge.core.screen import say
from navforge.data.splits import load_split
from navforge.scoring.metrics import EGO_PROGRESS
from navforge.scoring.protocols import protocol
from navforge.teacher.build import Gpu, Threads, plan, require_own
from navforge.teacher.store import SCORE, TeacherStore
from navforge.vocabulary.vocabulary import Vocabulary


def run(config: Config) -> None:
    """Build or finish the store and say how good the vocabulary can be."""
    vocabulary = Vocabulary.load(config.vocabulary)
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    split.require_annotations()
    warn(split)
    filtered = protocol(config.protocol).human_filter if config.human_filter == "auto" else config.human_filter == "on"
    with claim(config.out, TEACHER):
        require_own(config.out, vocabulary)
        planned = plan(
            vocabulary,
            split,
            config.cache,
            config.out,
            protocol_name=config.protocol,
            human_filter=filtered,
            progress_bits=config.progress_bits,
        )
        if not planned.finished:
            report = planned.build(_pick_executor(config), config.workers)
            if report.complete:
                provenance.record(config.out, config, name="teach")
            print_report(report)
        store = TeacherStore.open(config.out, vocabulary)
        store.check()
    say(describe(store))


def _pick_executor(config: Config) -> Executor:
    gpu = config.executor == "local" and pick_device(config.device) == "cuda"
    return config.pick_executor(Gpu(config.workers) if gpu else Threads(config.workers))


def describe(store: TeacherStore) -> str:
    """Size, oracle and rounding of a store in words."""
    header = store.header
    bits = sum(about["bits"] for about in header["columns"].values())
    scores = "" if header["oracle"] is None else f"oracle {header['oracle']:.4f}, mean {header['mean_score']:.4f}; "
    rounding = [
        f"{name.replace('_', ' ')} to {header['rounding'][name]:.1e}"
        for name in (EGO_PROGRESS.name, SCORE)
        if name in header["rounding"]
    ]
    return (
        f"{store.path}: {header['entries']} entries on {len(store)} scenes of {header['split']}, {store.protocol}; "
        f"{scores}{len(store) * store.layout.row_bytes / 1e6:.1f} MB, {bits} bits per entry, {', '.join(rounding)}"
    )

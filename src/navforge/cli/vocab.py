"""`navforge vocab`: a vocabulary from a split's human trajectories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import TaskID

from navforge.cli.keys.vocab import Config
from navforge.cli.notices import warn
from navforge.core import provenance
from navforge.core.errors import ConfigError, DataError
from navforge.core.files import check_writable, sole_use
from navforge.core.outside.text import read_json
from navforge.core.parallel import progress
from navforge.core.screen import say
from navforge.data.splits import load_split
from navforge.vocabulary.clustering import cluster
from navforge.vocabulary.harvest import human_trajectories, sampled
from navforge.vocabulary.vocabulary import sidecar_path


def run(config: Config) -> None:
    """Build, save with a JSON of its facts, and say what was made."""
    split = load_split(config.split, config.data, allow_missing=config.allow_missing, workers=config.workers)
    warn(split)
    facts: dict[str, Any] = {
        "split": split.name,
        "split_hash": split.hash,
        "missing_scenes": len(split.missing),
        "representative": config.representative,
        "seed": config.seed,
        "sampled": config.trajectories,
    }
    require_own(config, facts)
    check_writable(config.out)
    taken = split if config.trajectories is None else sampled(split, config.trajectories, seed=config.seed)
    trajectories = human_trajectories(taken, config.data, workers=config.workers)
    with bars() as step:
        vocabulary = cluster(
            trajectories,
            config.size,
            seed=config.seed,
            representative=config.representative,
            workers=config.workers,
            step=step,
        )
    with sole_use(config.out.parent):
        require_own(config, facts)  # another process may have written it meanwhile
        vocabulary.save(config.out, **facts, trajectories=len(trajectories))
        provenance.record(config.out.parent, config, name=config.out.stem)
    say(
        f"{config.out}: {vocabulary.size} entries from {len(trajectories)} trajectories of {split.name} "
        f"(fingerprint {vocabulary.fingerprint})"
    )


def require_own(config: Config, facts: dict[str, Any]) -> None:
    """Raise ConfigError if `out` is a vocabulary that the same keys would not make again."""
    sidecar = sidecar_path(config.out)
    if not config.out.exists():
        return
    try:
        present = read_json(sidecar, "facts")
        expected = {**facts, "size": config.size}
        different = [f"{name} is {present.get(name)}" for name in expected if present.get(name) != expected[name]]
    except DataError as error:
        raise ConfigError(
            f"out: {config.out} is a vocabulary whose origin is not known ({sidecar.name} cannot be read), it would be "
            "replaced; give another out= or delete it"
        ) from error
    if different:
        raise ConfigError(
            f"out: {config.out} is another vocabulary ({', '.join(different)}), it would be replaced; give another "
            "out= or delete it"
        )


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar with an ETA for each thing `step(label, done, total)` is called with; the next one ends the one before."""
    with progress("clustering", 1) as bar:
        whole = bar.task_ids[0]
        tasks: dict[str, TaskID] = {}

        def end() -> None:
            for task in tasks.values():
                bar.update(task, total=bar.tasks[bar.task_ids.index(task)].completed)

        def step(label: str, done: int, total: int) -> None:
            if label not in tasks:
                end()
                bar.update(whole, visible=False)
                tasks[label] = bar.add_task(label)
            bar.update(tasks[label], completed=done, total=total)

        yield step
        bar.update(whole, completed=1)
        end()

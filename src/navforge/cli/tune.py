"""`navforge tune`: inference weights for a trained planner that chooses from a vocabulary, on a validation split."""

from __future__ import annotations

from dataclasses import replace

from rich.box import SIMPLE_HEAD
from rich.table import Table

from navforge.cli.keys.tune import PARTS, RESULT, TUNED, Config
from navforge.cli.notices import warn
from navforge.core import config as configs
from navforge.core import provenance
from navforge.core.device import pick_device
from navforge.core.errors import ConfigError
from navforge.core.files import file_fingerprint, fingerprint, write_json
from navforge.data.splits import Split, load_split
from navforge.evaluation.intervals import Interval
from navforge.evaluation.summary import console
from navforge.models.checkpoints import KEY, contents, planner_part, read_values, write_values
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.loading import load_planner
from navforge.models.planner import VOCABULARY_KEY, Planner
from navforge.models.planner_config import planner_to_dict
from navforge.teacher.store import SCORE, TeacherStore
from navforge.tuning import validation_split
from navforge.tuning.confidences import Confidences, collect
from navforge.tuning.tune import Tuning, tune, tuned
from navforge.vocabulary.vocabulary import Vocabulary

FORMAT = 1


def run(config: Config) -> None:
    """Plan for every scene of the split, try all weights, write the planner with the best, and say how sure it is."""
    values = read_values(config.checkpoint)
    found = planner_part(config.checkpoint, values)
    device = pick_device(config.device)
    planner = load_planner(found, device)
    head = planner.config.head
    if not isinstance(head, HydraMdpConfig):
        raise ConfigError(f"checkpoint: {planner.config.name} does not choose by weighted confidence; nothing to tune")
    split = load_split(config.split, config.data, allow_missing=config.allow_missing)
    warn(split)
    validation_split.check_not_test(split)
    validation_split.check_apart(split, validation_split.training_split(found, config.train_split, config.data))
    teacher = TeacherStore.open(config.teacher, Vocabulary(found.state[VOCABULARY_KEY].numpy()))
    teacher.require(tokens=split.tokens, columns=(SCORE,), protocol=head.protocol, cache=None)
    confidences = _confidences(config, planner, head, split, teacher)
    tuning = tune(confidences, head, config.search, folds=config.folds)
    facts = {
        **tuning.facts(),
        "search": configs.to_dict(config.search),
        "folds": config.folds,
        "split": split.name,
        "fingerprints": {
            "checkpoint": file_fingerprint(config.checkpoint),
            "split": split.hash,
            "teacher": teacher.fingerprint,
        },
        "missing_scenes": len(split.missing),
        "protocol": head.protocol,
    }
    changed = replace(planner.config, head=tuned(head, tuning))
    provenance.record(config.out, config, name="tune")
    about = contents(planner_to_dict(changed), {**found.facts, "tuning": facts})
    write_values(config.out / TUNED, {"state_dict": values["state_dict"], KEY: about})
    write_json(config.out / RESULT, facts)
    _print(tuning, head, config)


def _confidences(
    config: Config, planner: Planner, head: HydraMdpConfig, split: Split, teacher: TeacherStore
) -> Confidences:
    box = config.search.box(head.log_factors)
    made_from = {
        "format": FORMAT,
        "checkpoint": file_fingerprint(config.checkpoint),
        "split": split.hash,
        "teacher": teacher.fingerprint,
        "box": [end.tolist() for end in box],
    }
    return collect(
        planner,
        split,
        config.data,
        teacher,
        box,
        config.out / PARTS,
        key=fingerprint(made_from),
        batch_size=config.batch_size,
    )


def _print(tuning: Tuning, head: HydraMdpConfig, config: Config) -> None:
    table = Table(box=SIMPLE_HEAD, title_justify="left", padding=(0, 1, 0, 0))
    for name in ("weight", "before", "after", *(f"without fold {part}" for part in range(config.folds))):
        table.add_column(name, justify="left" if name == "weight" else "right", no_wrap=True)
    for name in tuning.factors:
        cells = [weights[name] for weights in (tuning.before, tuning.after, *tuning.fold_weights)]
        table.add_row(name, *(f"{value:.3g}" for value in cells))
    printer = console()
    printer.print(table)
    printer.print(
        f"{head.protocol} of the chosen entries on {tuning.scenes} scenes of {tuning.logs} logs, points: "
        f"{100 * tuning.score_before:.2f} before, {100 * tuning.score_after:.2f} after, "
        f"gain {_points(tuning.gain)}; on logs not searched {_points(tuning.held_out_gain)}",
        soft_wrap=True,
    )
    if not tuning.improved:
        printer.print(f"none of {tuning.sets} sets is better than the weights the planner has, which are kept")
    elif tuning.held_out_gain.mean <= 0:
        printer.print("the gain does not carry over to logs that were not searched: do not expect any elsewhere")
    printer.print(
        f"{tuning.sets} sets on {tuning.candidates:.1f} candidates per scene in {tuning.search_s:.1f} s; "
        f"{config.out / TUNED}: the planner with the weights found",
        soft_wrap=True,
    )


def _points(interval: Interval) -> str:
    mean = f"{100 * interval.mean:+.2f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} (95% over logs {100 * interval.low:+.2f} to {100 * interval.high:+.2f})"

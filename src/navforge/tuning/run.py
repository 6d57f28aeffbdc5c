"""Tune the inference weights of a checkpoint: from files to files."""

from __future__ import annotations

from dataclasses import replace

from navforge.core import config as configs
from navforge.core import provenance
from navforge.core.device import pick_device
from navforge.core.errors import ConfigError
from navforge.core.files import file_fingerprint, fingerprint, write_json
from navforge.data.splits import Split
from navforge.models.checkpoints import KEY, contents, planner_part, read_values, write_values
from navforge.models.heads.configs import HydraMdpConfig
from navforge.models.loading import load_planner
from navforge.models.planner import VOCABULARY_KEY, Planner
from navforge.models.planner_config import planner_to_dict
from navforge.teacher.store import SCORE, TeacherStore
from navforge.tuning import validation_split
from navforge.tuning.confidences import Confidences, collect
from navforge.tuning.config import PARTS, RESULT, TUNED, TuneConfig
from navforge.tuning.tune import Tuning, tune, tuned
from navforge.vocabulary.vocabulary import Vocabulary

FORMAT = 1


def tune_checkpoint(config: TuneConfig, split: Split) -> Tuning:
    """Plan for every scene of the split, try all weights, and write the planner with the best.

    Raises:
        ConfigError: a planner that does not choose by weighted confidence, or a split of a test set or of scenes that
            the planner was trained on.
        DataError: the teacher store does not cover the split.
    """
    values = read_values(config.checkpoint)
    checkpoint = planner_part(config.checkpoint, values)
    device = pick_device(config.device)
    planner = load_planner(checkpoint, device, weights=config.weights)
    head = planner.config.head
    if not isinstance(head, HydraMdpConfig):
        raise ConfigError(f"checkpoint: {planner.config.name} does not choose by weighted confidence; nothing to tune")
    validation_split.check_not_test(split)
    validation_split.check_apart(split, validation_split.training_split(checkpoint, config.train_split, config.data))
    teacher = TeacherStore.open(config.teacher, Vocabulary(checkpoint.state[VOCABULARY_KEY].numpy()))
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
    }
    changed = replace(planner.config, head=tuned(head, tuning))
    provenance.record(config.out, config, name="tune")
    about = contents(planner_to_dict(changed), {**checkpoint.facts, "tuning": facts})
    write_values(config.out / TUNED, {"state_dict": values["state_dict"], KEY: about})
    write_json(config.out / RESULT, facts)
    return tuning


def _confidences(
    config: TuneConfig, planner: Planner, head: HydraMdpConfig, split: Split, teacher: TeacherStore
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

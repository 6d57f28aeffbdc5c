"""`navforge VERB key=value ...`: find the verb, parse its config strictly, run it, turn user errors into exit code 2.

A verb is a line in `VERBS` and two modules. `cli/keys/VERB.py` holds `Config` (a frozen dataclass, see `core.config`)
and is light, so that help and errors of keys are immediate; `cli/VERB.py`, imported once the keys are known to be
good, holds `run(config)`, which returns None or an exit status. In the module of keys, `POSITIONAL = ("run",)` names
keys that bare words may give, in that order; every key may also be written `--key value` (see `cli.argv`). A verb that
computes scores sets `SELF_CHECK = True`: the numerics self-check runs before it. With `NAMES = True`, words
`NAME=value` may have any name. One whose keys depend on a name among them (such as `agent=`) defines
`configure(words) -> config` and, for `--help`, `template(words) -> config class or instance`.
"""

from __future__ import annotations

import importlib
import signal
import sys
from contextlib import nullcontext
from types import ModuleType

from rich.table import Table

from navforge.cli.argv import plain, to_overrides, usage
from navforge.core import config as configs
from navforge.core.errors import ConfigError, Deferred, NavforgeError
from navforge.core.interrupts import Terminated, interruptible
from navforge.core.os_errors import describe_os_error
from navforge.core.screen import say, screen
from navforge.core.semaphores import name_semaphores, remove_leftovers

VERBS = {
    "town": "write a procedural driving world in OpenScene and nuPlan formats: maps, logs, cameras, LiDAR",
    "data check": "check a split on disk: logs, scenes, sensor files, maps, disk use",
    "cache": "build the metric cache of a split: what scoring needs of every scene, one file per log; resumes",
    "score": "score any trajectories (an npz file) by the benchmark's rules: one row per scene and trajectory",
    "vocab": "cluster a split's human trajectories into a vocabulary (.npy)",
    "vocab report": "report the limits of a vocabulary, its distance to human trajectories and its oracle scores",
    "teach": "score a vocabulary on a split into a teacher store; resumes",
    "build-task": "run one task of a job array; batch scripts of executor=slurm call it",
    "import-teacher": "convert a published teacher table (a pickle: GTRS, Hydra-MDP) to a teacher store",
    "export-teacher": "write a teacher store as the pickled table that public code loads",
    "pack": "write what a planner reads of a split (agent=NAME) into an input store; resumes",
    "encode": "compute the tokens of a planner's frozen encoder on a split (agent=NAME) into a feature store; resumes",
    "preflight": "check what train would refuse, with the remedy: for the same keys, or a batch script (script=FILE)",
    "pretrain": "train an encoder on unlabelled camera frames of a split (method=ijepa); resumes",
    "train": "train a planner (agent=NAME) into a run folder; resumes",
    "rank": "run one rank of a launched run; batch scripts and train call it",
    "import-checkpoint": "convert a published checkpoint (TransFuser, LTF, Hydra-MDP) to one of navforge",
    "export": "write a checkpoint that includes the encoder's frozen weights, which training leaves in their file",
    "tune": "search the inference weights of a trained Hydra-MDP on a validation split; resumes",
    "evaluate": "plan with an agent on a split and score it: per-scene table, summary with 95 % intervals",
    "compare": "compare planners and their seeds on the same scenes: paired differences, intervals, verdicts",
    "cluster plan": "predict where a run would end first, from recorded speeds and the state of the queues",
    "study plan": "show the grid of a study, what is done, hours, disk use, and the smallest difference it can detect",
    "study run": "run what a study still lacks: stages, runs, evaluations; resumes",
    "study-task": "run one task of a job array of a study; batch scripts of study run launch=slurm call it",
    "study status": "show the state of a study from its folders, live",
    "study report": "report scores and verdicts of the comparisons of a study, from its folder or its archive",
    "study export": "write a study as one archive without weights, which study report reads anywhere",
    "jobs": "list every run below a folder, live: state, place in the queue, speed, memory, time left",
    "jobs show": "show one run: progress, curves, ranks, memory, starts, checkpoints, files",
    "jobs logs": "print the last lines of all logs of a run, or of one rank's; --follow goes on until the run ends",
    "jobs cancel": "end a run: ranks that train write a checkpoint first",
    "jobs requeue": "start a run again from its last checkpoint: into the queue, resubmitted, or in the background",
    "record": "write all runs below a folder as Markdown and CSV: differences, scores, cost, state, how to repeat them",
    "diagnose": "explain what ended a run, with the lines of its logs that show it and the command that helps",
    "demo": "run all stages on a built-in synthetic world: town, cache, teach, train, evaluate, report; resumes",
}
"""Verb to its one-line meaning; the modules of `data check` are called `data_check.py`, those of `a-b` `a_b.py`."""
HIDDEN = ("rank", "build-task", "study-task")
"""Verbs that are not for people."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the verb's status or 0, 2 for user errors, 130 after SIGINT, 143 after SIGTERM."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help", "help"):
        _print_verbs()
        return 0
    name_semaphores()
    remove_leftovers()
    try:
        # A rank decides how it ends on a signal (`cli.rank`).
        with nullcontext() if words[0] == "rank" else interruptible():
            return _run(words)
    except KeyboardInterrupt:
        say("navforge: interrupted (SIGINT); run the same command again to resume", file=sys.stderr)
        return 128 + signal.SIGINT
    except Terminated:
        say("navforge: terminated (SIGTERM); run the same command again to resume", file=sys.stderr)
        return 128 + signal.SIGTERM


def _run(words: list[str]) -> int:
    """Run the verb; errors of the user and of the file system become one line and status 2."""
    try:
        verb, rest = _split_verb(words)
        keys = _module(verb, "navforge.cli.keys")
        if any(word in ("-h", "--help") for word in rest):
            _print_help(verb, keys, [word for word in rest if word not in ("-h", "--help")])
            return 0
        config = _configure(verb, keys, rest)
        if getattr(keys, "SELF_CHECK", False):
            importlib.import_module("navforge.simulation.selfcheck").check()
        return _module(verb, "navforge.cli").run(config) or 0
    except Deferred as deferred:
        say(deferred)
        return 0
    except NavforgeError as error:
        say(f"navforge: error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        say(f"navforge: error: {'; '.join(describe_os_error(error))}", file=sys.stderr)
        return 2


def _configure(verb: str, keys: ModuleType, words: list[str]) -> object:
    """The verb's config from the words after it."""
    longer = [known for known in VERBS if known.startswith(f"{verb} ")]
    positional = getattr(keys, "POSITIONAL", ())
    if longer and not positional and words and not words[0].startswith("--") and "=" not in words[0]:
        raise ConfigError(f"unknown verb {f'{verb} {words[0]}'!r}; verbs: {', '.join([verb, *longer])}")
    template = keys.template if hasattr(keys, "template") else lambda _: keys.Config
    names = getattr(keys, "NAMES", False)
    overrides = to_overrides(words, configs.leaves(template(plain(words))), positional, names=names)
    return keys.configure(overrides) if hasattr(keys, "configure") else configs.merge(keys.Config, overrides)


def _split_verb(words: list[str]) -> tuple[str, list[str]]:
    for length in (2, 1):
        verb = " ".join(words[:length])
        if verb in VERBS:
            return verb, words[length:]
    raise NavforgeError(f"unknown verb {words[0]!r}; verbs: {', '.join(VERBS)}")


def _module(verb: str, package: str) -> ModuleType:
    return importlib.import_module(f"{package}.{verb.replace(' ', '_').replace('-', '_')}")


def _print_verbs() -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    for verb, meaning in VERBS.items():
        if verb not in HIDDEN:
            table.add_row(f"  {verb}", meaning)
    console = screen()
    console.print("usage: navforge VERB key=value ...      navforge VERB --help lists the keys\n")
    console.print(table)


def _print_help(verb: str, keys: ModuleType, words: list[str]) -> None:
    template = keys.template(words) if hasattr(keys, "template") else keys.Config
    console = screen()
    line = f"navforge {verb} {usage(getattr(keys, 'POSITIONAL', ()))}"
    console.print(f"{line}\n{VERBS[verb]}\n")
    table = Table("key", "type", "default", "meaning", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for row in configs.describe(template):
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())

"""A batch script: what it asks for, and the command that trains, of navforge or another program."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import DataError
from navforge.core.outside.text import read_text
from navforge.preflight.allocation import Allocation
from navforge.preflight.sbatch import allocation_of, script_options, step_options
from navforge.preflight.shell import Command, commands, variables
from navforge.preflight.trainer import Trainer, program_at, trainer_of

_STARTERS = ("srun", "mpirun", "mpiexec")
_VERBS = ("train", "rank")


@dataclass(frozen=True)
class Script:
    """A batch script as far as it matters here."""

    allocation: Allocation
    verb: str | None = None
    """Of navforge: `train`, which starts all ranks by itself, or `rank`, which srun starts once per rank."""
    words: tuple[str, ...] = ()
    """`key=value` words of the navforge command, variables put in; those with unknown variables left out."""
    run: str | None = None
    """What `navforge rank` is given: a run folder, as written, variables put in."""
    trainer: Trainer | None = None
    """The training command of another program, where navforge is not called."""


def read_script(path: Path) -> Script:
    """Read a batch script.

    Raises:
        DataError: not there, not a batch script, a time limit Slurm does not understand, or not exactly one command
            that trains.
    """
    text = read_text(path, "script")
    if "#SBATCH" not in text:
        raise DataError(f"script: {path} has no #SBATCH line; give the file that sbatch gets")
    if "\r\n" in text:
        raise DataError(f"script: {path} has DOS line breaks, which sbatch refuses; convert it with dos2unix")
    if not text.startswith("#!"):
        raise DataError(f"script: the first line of {path} is not #! with an interpreter, so sbatch refuses it")
    written = commands(text)
    command, verb = _training_command(path, written)
    words = command.words
    at = next(index for index, word in enumerate(words) if _is_navforge(word) or program_at(words, index))
    starters = [index for index, word in enumerate(words[:at]) if Path(word).name in _STARTERS]
    options = script_options(text, path.name)
    if starters:
        options |= step_options(words[starters[0] + 1 : at])
    trainer = None if verb else trainer_of(command)
    launcher = trainer.launcher if trainer else "navforge train" if verb == "train" else None
    allocation = allocation_of(path.name, options, srun=bool(starters), launcher=launcher, environ=variables(text))
    if trainer is not None:
        return Script(allocation, trainer=trainer)
    given = tuple(word for word in words if re.match(r"[a-z_.]+=", word) and "$" not in word)
    return Script(allocation, verb, given, _run_folder(words) if verb == "rank" else None)


def _training_command(path: Path, written: Sequence[Command]) -> tuple[Command, str | None]:
    """The one command that trains, and its verb where it is navforge's."""
    ours = [(command, verb) for command in written if (verb := _verb(command))]
    if ours:
        candidates, what = ours, "calls navforge train or navforge rank"
    else:
        others = [(command, trainer_of(command)) for command in written if trainer_of(command)]
        trained = [command for command, trainer in others if trainer is not None and trainer.trains]
        candidates, what = [(command, None) for command in trained or [command for command, _ in others]], "trains"
    if not candidates:
        raise DataError(
            f"script: {path} has no command that trains: neither navforge train or navforge rank, nor python with a "
            "file or -m, torchrun, accelerate or deepspeed; what another script that it calls does is not read"
        )
    if len(candidates) > 1:
        shown = "; ".join(str(command) for command, _ in candidates)
        raise DataError(
            f"script: {path} {what} {len(candidates)} times, and one command is checked; give each a script: {shown}"
        )
    return candidates[0]


def _verb(command: Command) -> str | None:
    """`train` or `rank` of a call of navforge, `python -m navforge` among them."""
    for program, verb in itertools.pairwise(command.words):
        if _is_navforge(program) and verb in _VERBS:
            return verb
    return None


def _is_navforge(word: str) -> bool:
    return Path(word.lstrip("({")).name == "navforge"


def _run_folder(words: Sequence[str]) -> str | None:
    """The word after `navforge rank`, also written `run=FOLDER`."""
    after = words[words.index("rank") + 1 :]
    return after[0].removeprefix("run=") if after else None

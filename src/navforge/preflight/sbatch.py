"""What the options of `sbatch` and `srun` ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from navforge.core.errors import ConfigError, DataError
from navforge.core.sizes import parse_size
from navforge.preflight.allocation import Allocation
from navforge.preflight.shell import words_of
from navforge.slurm import durations

_SHORT = {
    "N": "nodes",
    "n": "ntasks",
    "c": "cpus-per-task",
    "p": "partition",
    "t": "time",
    "A": "account",
    "G": "gpus",
}
_STEP = ("nodes", "ntasks", "ntasks-per-node", "cpus-per-task", "gres", "gpus", "gpus-per-node", "gpus-per-task", "mem")
"""Options of srun that count here; their values may stand in the next word."""


def script_options(text: str, name: str) -> dict[str, str]:
    """Long name -> value of every #SBATCH option; Slurm reads them up to the first command.

    Args:
        text: of the script.
        name: of the script, for errors.

    Raises:
        DataError: a time limit Slurm does not understand.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            break
        if line.startswith("#SBATCH"):
            options = _options(words_of(line.removeprefix("#SBATCH")))
            if "time" in options:
                try:
                    durations.parse(options["time"])
                except ConfigError as error:
                    raise DataError(f"script: {name} line {number}: --time: {error}") from error
            found |= options
    return found


def step_options(words: Sequence[str]) -> dict[str, str]:
    """Those options of `srun WORDS PROGRAM ...` that say what the tasks get."""
    return {name: value for name, value in _options(words, with_values=_STEP).items() if name in _STEP}


def _options(words: Iterable[str], with_values: Sequence[str] | None = None) -> dict[str, str]:
    """Long name -> value of options in a row; None: every option may have its value in the next word."""
    rest, options = list(words), {}
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            name, value, equals = _SHORT.get(word[1:2], word[1:2]), word[2:].lstrip("="), word[2:]
        takes_one = with_values is None or name in with_values
        if takes_one and not equals and rest and not rest[0].startswith("-"):
            value = rest.pop(0)
        options[name] = value
    return options


def allocation_of(
    name: str, options: Mapping[str, str], *, srun: bool, launcher: str | None, environ: Mapping[str, str]
) -> Allocation:
    """What a script that is called `name` asks for, and how it starts its ranks."""
    nodes = _number(options.get("nodes", "1").split("-")[-1]) or 1
    per_node = _number(options.get("ntasks-per-node"))
    tasks = _number(options.get("ntasks")) or nodes * (per_node or 1)
    per_gpu = _number(options.get("gpus-per-task"))
    share = per_node or -(-tasks // nodes)
    gpus = _gpus(options, nodes, share if per_gpu is None else share * per_gpu)
    cpus = _number(options.get("cpus-per-task"))
    if cpus is None:
        cpus = (_number(options.get("cpus-per-gpu")) or 0) * gpus // share or 1
    return Allocation(
        origin=name,
        srun=srun,
        launcher=launcher,
        nodes=nodes,
        tasks=tasks,
        tasks_per_node=per_node,
        gpus_per_node=gpus,
        visible_gpus=per_gpu if per_gpu is not None else gpus,
        cpus_per_task=cpus,
        memory_bytes=_memory(options, cpus * share, gpus),
        time_limit_s=durations.parse(options["time"]) if "time" in options else None,
        partition=options.get("partition"),
        account=options.get("account"),
        requeue="requeue" in options,
        environ=environ,
    )


def _gpus(options: Mapping[str, str], nodes: int, from_tasks: int) -> int:
    if "gpus-per-task" in options:
        return from_tasks
    for option in ("gpus-per-node", "gres"):
        if option in options:
            parts = [part for part in options[option].split(",") if option != "gres" or part.startswith("gpu")]
            return sum(_count_of(part) for part in parts)
    if "gpus" in options:
        return -(-sum(_count_of(part) for part in options["gpus"].split(",")) // nodes)
    return 0


def _count_of(text: str) -> int:
    """`gpu:l40s:4`, `l40s:4`, `4`, `gpu`: how many."""
    last = text.partition("(")[0].rpartition(":")[2]
    return int(last) if last.isdigit() else 1


def _memory(options: Mapping[str, str], cpus: int, gpus: int) -> int | None:
    """Bytes per node; None where they are not stated, or 0, which is all of the node."""
    for option, times in (("mem", 1), ("mem-per-cpu", cpus), ("mem-per-gpu", gpus)):
        if size := parse_size(options.get(option, ""), unit="M"):
            return size * times
    return None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

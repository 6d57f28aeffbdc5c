"""What an existing batch script asks for, and how it calls navforge.

Understood: `#SBATCH` lines, `NAME=value` and `export NAME=value` lines, `$NAME`, `${NAME}` and `${NAME:-value}` in
them, commands continued with a backslash. Not understood: anything the shell would have to compute; what depends on it
is taken as not stated.
"""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from navforge.core.errors import ConfigError, DataError
from navforge.core.outside.text import read_text
from navforge.preflight.allocation import Allocation
from navforge.slurm import durations

GIB = 1 << 30
_SHORT = {
    "N": "nodes",
    "n": "ntasks",
    "c": "cpus-per-task",
    "p": "partition",
    "t": "time",
    "A": "account",
    "G": "gpus",
}
_VERBS = ("train", "rank")
_SAYING = ("echo", "printf", "logger", ":")
"""Commands whose words are only shown."""
_BYTES = {"K": 1 << 10, "M": 1 << 20, "G": GIB, "T": 1 << 40, "": 1 << 20}


@dataclass(frozen=True)
class Script:
    """A batch script as far as it matters here."""

    allocation: Allocation
    verb: str
    """`train`, which starts all ranks by itself, or `rank`, which srun starts once per rank."""
    words: tuple[str, ...]
    """`key=value` words of its navforge command, variables put in; those with unknown variables left out."""
    run: str | None = None
    """What `navforge rank` is given: a run folder, as written, variables put in."""


def read_script(path: Path) -> Script:
    """Read a batch script.

    Raises:
        DataError: not there, no batch script, a time limit Slurm does not understand, or not one command that calls
            navforge train or navforge rank.
    """
    text = read_text(path, "script")
    if "#SBATCH" not in text:
        raise DataError(f"script: {path} has no #SBATCH line; give the file that sbatch gets")
    variables = _variables(text)
    commands = [(number, _expand(line, variables)) for number, line in _lines(text)]
    ours = [(number, *found) for number, line in commands for found in _calls(line)]
    if not ours:
        raise DataError(f"script: {path} does not call navforge train or navforge rank")
    if len(ours) > 1:
        shown = "; ".join(f"line {number}: {' '.join(words)}" for number, _, words in ours)
        raise DataError(f"script: {path} calls navforge {len(ours)} times, and one is checked; give one each: {shown}")
    _, verb, words = ours[0]
    given = tuple(word for word in words if re.match(r"[a-z_.]+=", word) and "$" not in word)
    lines = [line for _, line in commands]
    srun = any(Path(word).name in ("srun", "mpirun", "mpiexec") for word in words) or _is_function_of_srun(words, lines)
    allocation = _allocation(path.name, _options(path, text), srun=srun, supervised=verb == "train")
    return Script(allocation, verb, given, _run_folder(words) if verb == "rank" else None)


def _run_folder(words: list[str]) -> str | None:
    """The word after `navforge rank`, also written `run=FOLDER`."""
    after = words[words.index("rank") + 1 :]
    return after[0].removeprefix("run=") if after else None


def _calls(line: str) -> list[tuple[str, list[str]]]:
    """Verb and words of every `navforge train` and `navforge rank` in a line, `python -m navforge` among them."""
    found = []
    for words in _commands(line):
        if words[0] in _SAYING:
            continue
        for program, verb in itertools.pairwise(words):
            if Path(program.lstrip("({")).name == "navforge" and verb in _VERBS:
                found.append((verb, words))
                break
    return found


def _commands(line: str) -> list[list[str]]:
    """Words of each command of a line; what `bash -c` is given counts as words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that ends on another line
        words = line.split()
    found: list[list[str]] = [[]]
    for word in words:
        last = found[-1][-1] if found[-1] else ""
        if word and not word.strip(";&|") and not last.endswith(">"):
            found.append([])
        elif re.fullmatch(r"-\w*c", last) and " " in word:
            found[-1] += _words(word)
        else:
            found[-1].append(word)
    return [words for words in found if words]


def _options(path: Path, text: str) -> dict[str, str]:
    """Long name -> value of every #SBATCH option; Slurm reads them up to the first command."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            break
        if not line.startswith("#SBATCH"):
            continue
        words = _words(line.removeprefix("#SBATCH"))
        while words:
            word = words.pop(0)
            name, equals, value = word.partition("=")
            if not word.startswith("--"):
                name, value, equals = _SHORT.get(word[1:2], word[1:2]), word[2:].lstrip("="), word[2:]
            if not equals and words and not words[0].startswith("-"):
                value = words.pop(0)
            found[name.removeprefix("--")] = value
            if name.removeprefix("--") == "time":
                _time(value, f"script: {path} line {number}: --time")
    return found


def _time(text: str, where: str) -> int | None:
    try:
        return durations.parse(text)
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from error


def _allocation(name: str, options: dict[str, str], *, srun: bool, supervised: bool) -> Allocation:
    nodes = _number(options.get("nodes", "1").split("-")[-1]) or 1
    per_node = _number(options.get("ntasks-per-node"))
    tasks = _number(options.get("ntasks")) or nodes * (per_node or 1)
    per_gpu = _number(options.get("gpus-per-task"))
    cpus = _number(options.get("cpus-per-task")) or 1
    share = per_node or -(-tasks // nodes)
    gpus = _gpus(options, nodes, share if per_gpu is None else share * per_gpu)
    return Allocation(
        origin=name,
        srun=srun,
        supervised=supervised,
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
    )


def _gpus(options: dict[str, str], nodes: int, from_tasks: int) -> int:
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


def _memory(options: dict[str, str], cpus: int, gpus: int) -> int | None:
    for option, times in (("mem", 1), ("mem-per-cpu", cpus), ("mem-per-gpu", gpus)):
        found = re.fullmatch(r"(\d+)([KMGT]?)B?", options.get(option, ""), re.IGNORECASE)
        if found and int(found.group(1)):
            return int(found.group(1)) * _BYTES[found.group(2).upper()] * times
    return None


def _lines(text: str) -> list[tuple[int, str]]:
    """Commands with the numbers of their first lines, continued lines joined, comments left out."""
    found: list[tuple[int, str]] = []
    going_on = False
    for number, line in enumerate(text.splitlines(), 1):
        if not going_on and (not line.strip() or line.lstrip().startswith("#")):
            continue
        whole = line.strip().removesuffix("\\").rstrip()
        if going_on:
            found[-1] = (found[-1][0], f"{found[-1][1]} {whole}")
        else:
            found.append((number, whole))
        going_on = line.endswith("\\")
    return found


def _variables(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for _, line in _lines(text):
        for name, value in re.findall(r"(?:^|\s|;)(?:export\s+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|[^\s;]*)", line):
            if not re.search(r"\b(navforge|srun|python)\b", line.split(f"{name}=")[0]):
                found[name] = _expand(value.strip("\"'"), found)
    return found


def _expand(text: str, variables: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.group(1) or match.group(3), match.group(2)
        return variables.get(name, match.group(0) if default is None else default)

    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)", value, text)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a quote that ends on another line
        return line.split()


def _is_function_of_srun(words: list[str], commands: list[str]) -> bool:
    """Whether the command begins with a variable or shell function that the script defines with srun in it."""
    return any(re.match(rf"(function\s+)?{re.escape(words[0])}\s*\(\)", c) and "srun" in c for c in commands if words)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None

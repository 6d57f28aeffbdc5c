"""Training commands of other programs: what their words say of ranks and loader workers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from navforge.preflight.shell import Command

_PYTHON = re.compile(r"python(\d+(\.\d+)?)?")
_LAUNCHERS = {"torchrun": "torchrun", "accelerate": "accelerate launch", "deepspeed": "deepspeed"}
_LAUNCHING_MODULES = ("torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch")
_NOT_TRAINING = ("pip", "venv", "ensurepip", "http.server", "nltk.downloader")
_TRAINS = re.compile(r"train|finetune|fine_tune|fit\b", re.IGNORECASE)

_NODES = ("num_nodes", "nnodes", "num_machines", "nodes")
_DEVICES = ("devices", "nproc_per_node", "num_gpus", "gpus_per_node", "ngpus", "gpus")
"""Keys that give the ranks of a node, the more telling first."""
_RANKS = ("num_processes", "world_size")
"""Keys that give the ranks of all nodes."""
_WORKERS = ("num_workers", "dataloader_num_workers", "loader_workers", "workers_per_gpu", "workers")


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """A training command; None where its words say nothing."""

    name: str
    """Such as `python run_training.py`."""
    launcher: str | None = None
    """Program that starts all ranks of a node, such as `torchrun`."""
    lightning: bool = False
    """Whether it is Lightning, which takes the tasks of Slurm for its ranks and starts none where there are any."""
    nodes: int | None = None
    devices: int | None = None
    """Ranks of a node."""
    workers: int | None = None
    """Loader workers of a rank."""

    @property
    def trains(self) -> bool:
        """Whether its name says that it trains, or a launcher starts it."""
        return self.launcher is not None or bool(_TRAINS.search(self.name))


def program_at(words: Sequence[str], index: int) -> bool:
    """Whether a training program begins at a word: a launcher of ranks, or Python with a file or module."""
    return _program(words[index:]) is not None


def trainer_of(command: Command) -> Trainer | None:
    """The training command in a command; None if there is none."""
    for index in range(len(command.words)):
        if (program := _program(command.words[index:])) is not None:
            name, launcher = program
            given = _given(command.words[index:])
            nodes, devices = _number(given, _NODES), _number(given, _DEVICES)
            ranks = _number(given, _RANKS)
            if devices is None and ranks is not None and ranks % (nodes or 1) == 0:
                devices = ranks // (nodes or 1)
            if devices is None and launcher in ("torchrun", *_LAUNCHING_MODULES[:2]) and "nproc_per_node" not in given:
                devices = 1  # torchrun's default
            return Trainer(
                name=name,
                launcher=launcher,
                lightning=any("trainer." in word for word in command.words) or name.endswith("run_training.py"),
                nodes=nodes,
                devices=devices,
                workers=_number(given, _WORKERS),
            )
    return None


def _program(words: Sequence[str]) -> tuple[str, str | None] | None:
    """Name and launcher of the training program that begins with the first word."""
    name = Path(words[0].lstrip("({")).name
    if name in _LAUNCHERS and (name != "accelerate" or words[1:2] == ["launch"] or words[1:2] == ("launch",)):
        return _LAUNCHERS[name], _LAUNCHERS[name]
    if not _PYTHON.fullmatch(name):
        return None
    rest = list(words[1:])
    while rest and rest[0].startswith("-") and rest[0] not in ("-m", "-c"):
        rest.pop(0)
    if len(rest) > 1 and rest[0] == "-m":
        module = rest[1]
        if module.partition(".")[0] in _NOT_TRAINING or module in _NOT_TRAINING:
            return None
        return f"{name} -m {module}", module if module in _LAUNCHING_MODULES else None
    if rest and rest[0].endswith(".py"):
        return f"{name} {Path(rest[0]).name}", None
    return None


def _given(words: Sequence[str]) -> dict[str, str]:
    """Last part of a key -> value of `key=value`, `--key=value` and `--key value`."""
    values: dict[str, str] = {}
    for index, word in enumerate(words):
        key, equals, value = word.lstrip("+-").partition("=")
        if not equals and word.startswith("--"):
            value = words[index + 1] if index + 1 < len(words) else ""
        elif not equals:
            continue
        values[key.rpartition(".")[2].replace("-", "_")] = value
    return values


def _number(given: dict[str, str], keys: Sequence[str]) -> int | None:
    """The count that the first of some keys gives: `8`, or the entries of `[0,1]` and `0,1`."""
    for key in keys:
        value = given.get(key, "")
        if value.isdigit():
            return int(value)
        if re.fullmatch(r"\[?\d+(,\s*\d+)+\]?", value) or re.fullmatch(r"\[\d+\]", value):
            return value.count(",") + 1
    return None

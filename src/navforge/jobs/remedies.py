"""Commands that bring a run back, with what has to change."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta

from navforge.core.sizes import GIB, parse_size
from navforge.jobs.evidence import Evidence
from navforge.slurm import durations

STARTERS = ("train", "pretrain")
"""Verbs that start runs."""


def quoted(evidence: Evidence) -> str:
    """The run folder as a word of a command."""
    return shlex.quote(str(evidence.view.folder.path))


def again(evidence: Evidence) -> str:
    """Go on from the last checkpoint as before."""
    return f"navforge jobs requeue {quoted(evidence)}"


def resubmit(evidence: Evidence, *options: str) -> str:
    """Submit the run's script again with other limits; options of the command line win over those in the script."""
    return f"sbatch {' '.join(options)} {shlex.quote(str(evidence.view.folder.script))}"


def more_memory(evidence: Evidence, factor: float = 1.5) -> str | None:
    """Submit again with more memory per node; None for a local run or where the script does not say how much it had."""
    had = requested_memory_gb(evidence)
    if evidence.view.record.launch != "slurm" or had is None:
        return None
    return resubmit(evidence, f"--mem={memory_words(had * factor)}")


def requested_memory_gb(evidence: Evidence) -> float | None:
    """GiB per node the script asked for."""
    size = parse_size(_option(evidence, "mem") or "", unit="M")
    return None if size is None else size / GIB


def memory_words(gigabytes: float) -> str:
    """GiB as `--mem` takes them."""
    return f"{max(1, round(gigabytes))}G" if gigabytes >= 2 else f"{max(1, round(gigabytes * 1024))}M"


def more_time(evidence: Evidence, needed_s: float | None) -> str:
    """Submit again with more time."""
    had = _option(evidence, "time")
    limit_s = durations.parse(had) if had else None
    seconds = max(needed_s * 1.2 if needed_s else 0.0, 2.0 * limit_s if limit_s else 0.0)
    if not seconds:
        return again(evidence)
    hours = timedelta(hours=-(-seconds // 3600)).total_seconds()
    return resubmit(evidence, f"--time={durations.write(int(hours))}")


def train(evidence: Evidence, **changes: str) -> str:
    """Train again into a new folder, with the words the run was started with but for some keys of `train`."""
    path = evidence.view.folder.path
    verb, given = started_by(evidence) or ("train", [f"agent={evidence.view.record.agent}"])
    changed = {"out": f"{path}_again", **{f"train.{name}": value for name, value in changes.items()}}
    kept = [word for word in given if word.partition("=")[0] not in changed]
    return shlex.join(["navforge", verb, *kept, *(f"{name}={value}" for name, value in changed.items())])


def started_by(evidence: Evidence) -> tuple[str, list[str]] | None:
    """The verb that started the run and the words after it; None where its command is not known."""
    for verb in STARTERS:
        if len(evidence.command) > 1 and verb in evidence.command[:2]:
            return verb, list(evidence.command[evidence.command.index(verb) + 1 :])
    return None


def original(evidence: Evidence, verb: str = "train") -> str:
    """The words the run was started with, for `train` or `preflight`, with the preflight."""
    unknown = "train", [f"agent={evidence.view.record.agent}", f"out={evidence.view.folder.path}"]
    starter, given = started_by(evidence) or unknown
    if verb == "preflight" and starter == "pretrain" and not any(word.startswith("method=") for word in given):
        given = [f"method={evidence.view.record.agent}", *given]
    dropped = ("preflight",) if verb == "train" else ("preflight", "out")
    kept = [word for word in given if word.partition("=")[0] not in dropped]
    return shlex.join(["navforge", starter if verb == "train" else verb, *kept])


def corrected(evidence: Evidence) -> tuple[str, ...]:
    """The same command once what was wrong in it is put right."""
    return ("# correct what the error names, then:", original(evidence))


def check_data(evidence: Evidence) -> str:
    """Look at every sensor file of the run's split."""
    split = config_value(evidence, "split") or "SPLIT"
    return f"navforge data check {shlex.quote(f'split={split}')} sample=null"


def config_value(evidence: Evidence, name: str) -> str | None:
    """A value of the resolved config, by the last part of its name; None if it is null, auto or absent."""
    for line in evidence.config:
        if match := re.match(rf"\s*{name}: (\S.*)$", line.text):
            return None if match[1] in ("null", "auto") else match[1].strip("'\"")
    return None


def logs(evidence: Evidence, rank: int | None = None) -> str:
    """Read on in a log."""
    return f"navforge jobs logs {quoted(evidence)}" + (f" --rank {rank}" if rank is not None else "")


def _option(evidence: Evidence, name: str) -> str | None:
    """Value of an `#SBATCH --name=value` line of the script; the last one counts."""
    found = None
    for line in evidence.script:
        if match := re.match(rf"#SBATCH\s+--{name}[=\s](\S+)", line.text):
            found = match[1]
    return found

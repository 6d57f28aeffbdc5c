"""Node names resolve to the loopback address through a marked block in the hosts file."""

from __future__ import annotations

import fcntl
import re
from collections.abc import Callable, Sequence
from pathlib import Path

HOSTS = Path("/etc/hosts")


def add(owner: Path, names: Sequence[str], hosts: Path = HOSTS) -> None:
    """Put in the block of the cluster in the folder `owner`."""
    block = [_begin(owner), *(f"127.0.0.1 {name}" for name in names), _end(owner)]
    _edit(hosts, lambda text: _without(text, owner).rstrip("\n") + "\n" + "\n".join(block) + "\n")


def remove(owner: Path, hosts: Path = HOSTS) -> None:
    """Take the block out again; the rest of the file stays as it is."""
    _edit(hosts, lambda text: _without(text, owner))


def owners(hosts: Path = HOSTS) -> list[Path]:
    """Folders of the clusters that have a block."""
    return [
        Path(name) for name in re.findall(r"^# navforge test cluster (.+) begins$", hosts.read_text(), re.MULTILINE)
    ]


def _begin(owner: Path) -> str:
    return f"# navforge test cluster {owner} begins"


def _end(owner: Path) -> str:
    return f"# navforge test cluster {owner} ends"


def _without(text: str, owner: Path) -> str:
    return re.sub(rf"^{re.escape(_begin(owner))}\n.*?^{re.escape(_end(owner))}\n", "", text, flags=re.M | re.S)


def _edit(hosts: Path, change: Callable[[str], str]) -> None:
    """In place and under a lock: containers mount the file, so that it cannot be replaced."""
    with open(hosts, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        if (changed := change(text)) != text:
            file.seek(0)
            file.write(changed)
            file.truncate()

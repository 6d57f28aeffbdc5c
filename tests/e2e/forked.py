"""`python -m tests.e2e.forked RUN`: all ranks of a run on this machine, forked from one process that has imported all.

The ranks are those of a launched run (`training.ranks.rank.run_rank`); only the start is cheaper: sixteen ranks that
each import torch keep two CPUs busy for a minute.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import navforge.training.run  # noqa: F401 (so that the ranks have it)
from navforge.launch.local import free_ports
from navforge.runs.folder import RunFolder
from navforge.training.ranks.rank import leave, run_rank


def main() -> int:
    folder = RunFolder(Path(sys.argv[1]))
    record = folder.read_record()
    (port,) = free_ports(1)
    ranks = []
    for rank in range(record.world_size):
        environ = {
            "RANK": rank,
            "LOCAL_RANK": rank % record.devices,
            "GROUP_RANK": rank // record.devices,
            "WORLD_SIZE": record.world_size,
            "LOCAL_WORLD_SIZE": record.devices,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        if (pid := os.fork()) == 0:
            os.environ.update({name: str(value) for name, value in environ.items()})
            leave(run_rank(folder))
        ranks.append(pid)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in ranks)


if __name__ == "__main__":
    sys.exit(main())

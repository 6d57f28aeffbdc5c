"""The parent of all daemons of one cluster: `python -m tests.slurm_cluster.supervisor ROOT [OWNER_PID]`.

Starts them, writes `state.json`, and waits until it is told to stop or its owner has died; then it ends everything that
belongs to the cluster. Should it be killed itself, the kernel tells the daemons to end, and the next start or stop of a
cluster clears up the rest.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.slurm_cluster import hosts, layout, processes
from tests.slurm_cluster.layout import Layout

STATE = "state.json"
_READY_S = 200.0


class Supervisor:
    def __init__(self, where: Layout, owner: int | None) -> None:
        self.layout = where
        self.owner = None if owner is None else processes.identity(owner)
        self.daemons: dict[str, tuple[int, int]] = {}
        self.told_to_stop = owner is not None and self.owner is None

    def run(self) -> None:
        processes.LIBC.prctl(processes.PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            hosts.add(self.layout.root, _unresolved())
            self._start_all()
            self._save("running")
        except Exception as error:
            self._save(f"failed: {error}")
            self.told_to_stop = True
        while not self.told_to_stop:
            processes.reap()
            time.sleep(0.2)
            self.told_to_stop |= self.owner is not None and not processes.alive(self.owner)
        self._stop_all()

    def _tell(self, *_: object) -> None:
        self.told_to_stop = True

    def _save(self, state: str) -> None:
        values = {
            "state": state,
            "supervisor": processes.identity(os.getpid()),
            "daemons": self.daemons,
            "ports": self.layout.ports,
            "own_hostnames": self.layout.own_hostnames,
        }
        new = self.layout.root / f"{STATE}.new"
        new.write_text(json.dumps(values, indent=1))
        new.replace(self.layout.root / STATE)

    def _start_all(self) -> None:
        root, ports = self.layout.root, self.layout.ports
        self._spawn(
            "munged",
            *("munged", "--foreground", "--force", "--num-threads=2", f"--key-file={root}/etc/munge.key"),
            *(f"--socket={self.layout.munge_socket}", f"--pid-file={root}/run/munged.pid"),
            *(f"--log-file={self.layout.log('munge')}", f"--seed-file={root}/run/munged.seed"),
        )
        self._start_database()
        self._await("munged", self.layout.munge_socket.exists)
        self._spawn("slurmdbd", "slurmdbd", "-D")
        self._await("slurmdbd", lambda: _listening(ports["slurmdbd"]))
        self._spawn("slurmctld", "slurmctld", "-D", "-i", "-f", str(self.layout.conf))
        self._await("slurmctld", lambda: _listening(ports["slurmctld"]))
        for node in layout.NODES:
            self._spawn(node, "slurmd", "-D", "-N", node, "-f", str(self.layout.conf))
        self._await(layout.NODES[0], self._nodes_are_idle)

    def _start_database(self) -> None:
        root, port = self.layout.root, self.layout.ports["mariadbd"]
        data = root / "database"
        common = ["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", "--innodb-buffer-pool-size=64M"]
        common += ["--innodb-log-file-size=16M", "--innodb-flush-method=nosync"]  # lives as long as the tests
        data.mkdir()
        scripts = ("mysql_system_tables", "mysql_performance_tables", "mysql_system_tables_data")
        sql = "CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"
        sql += "".join(Path(f"/usr/share/mysql/{name}.sql").read_text() for name in scripts)
        with open(self.layout.log("mariadb-bootstrap"), "wb") as log:
            bootstrap = [*common, "--bootstrap", "--enforce-storage-engine="]
            subprocess.run(bootstrap, input=sql.encode(), stdout=log, stderr=log, check=True)
        self._spawn(
            "mariadbd",
            *(*common, "--bind-address=127.0.0.1", f"--port={port}", f"--socket={root}/run/mariadb.socket"),
            *(f"--pid-file={root}/run/mariadbd.pid", "--skip-name-resolve", f"--init-file={root}/etc/database.sql"),
            *("--innodb-lock-wait-timeout=900", "--innodb-flush-log-at-trx-commit=0"),
        )
        self._await("mariadbd", lambda: _listening(port))

    def _spawn(self, name: str, *command: str) -> None:
        hostname = name if name in layout.NODES and self.layout.own_hostnames else None

        def before_exec() -> None:
            processes.LIBC.prctl(processes.PR_SET_PDEATHSIG, signal.SIGTERM)
            if hostname is not None:
                if processes.LIBC.unshare(processes.CLONE_NEWUTS):
                    raise OSError(f"no host name of its own for {hostname}")
                socket.sethostname(hostname)

        with open(self.layout.root / "log" / f"{name}.out", "ab") as out:
            daemon = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.layout.root,
                env=self.layout.environ(),
                start_new_session=True,
                preexec_fn=before_exec,  # noqa: PLW1509 (this process has one thread)
            )
        daemon.returncode = 0  # reaped here, not by subprocess
        who = processes.identity(daemon.pid)
        if who is None:
            raise RuntimeError(f"{name} ended at once; see {self.layout.root}/log/{name}.out")
        self.daemons[name] = who
        self._save("starting")

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        limit = time.monotonic() + _READY_S
        while not ready():
            processes.reap()
            if not processes.alive(self.daemons[name]):
                raise RuntimeError(f"{name} ended; see {self.layout.root}/log/{name}.out")
            if self.told_to_stop or time.monotonic() > limit:
                raise RuntimeError(f"{name} was not ready within {_READY_S:g} s; see {self.layout.root}/log")
            time.sleep(0.05)

    def _nodes_are_idle(self) -> bool:
        command = ["sinfo", "-h", "-N", "-o", "%N %T"]
        try:
            environ = self.layout.environ()
            seen = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_READY_S, check=False)
        except subprocess.TimeoutExpired:
            return False
        states = dict(line.split() for line in seen.stdout.splitlines())
        return [states.get(node) for node in layout.NODES] == ["idle"] * len(layout.NODES)

    def _stop_all(self) -> None:
        # First the jobs, so that no daemon starts or waits for anything; the database last.
        for names in (layout.NODES, ("slurmctld",), ("slurmdbd",), ("mariadbd",), ("munged",)):
            processes.end(processes.members(self.layout.conf, daemons=False), signal.SIGKILL, 5)
            group = [self.daemons[name][0] for name in names if name in self.daemons]
            if not processes.end(group, signal.SIGTERM, 15):
                processes.end(group, signal.SIGKILL, 5)
        clear(self.layout.root)


def clear(root: Path) -> None:
    """End what is left of a cluster without a supervisor, and take out its traces; its logs stay."""
    for _ in range(10):  # a process may be born while the list is made
        left = processes.members(root / "etc" / "slurm.conf", daemons=True)
        if not left:
            break
        processes.end(left, signal.SIGKILL, 2)
    hosts.remove(root)
    (root / STATE).unlink(missing_ok=True)


def _unresolved() -> list[str]:
    """Names that have to resolve: the nodes, and this machine's own where it does not yet."""
    own = socket.gethostname().partition(".")[0]
    try:
        socket.gethostbyname(own)
        return list(layout.NODES)
    except OSError:
        return [*layout.NODES, own]


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _may_name_nodes() -> bool:
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "--uts", "hostname", "probe"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def main() -> None:
    root = Path(sys.argv[1])
    owner = int(sys.argv[2]) if len(sys.argv) > 2 else None
    where = Layout(root, layout.free_ports(), _may_name_nodes())
    layout.write(where)
    Supervisor(where, owner).run()


if __name__ == "__main__":
    main()

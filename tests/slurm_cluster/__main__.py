"""`python -m tests.slurm_cluster start|stop|status|env`: the test cluster by hand."""

from __future__ import annotations

import argparse
import sys

from tests.slurm_cluster.cluster import BY_HAND, Cluster, describe, healthy


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.slurm_cluster", description="Control the test Slurm cluster")
    parser.add_argument("command", choices=("start", "stop", "status", "env"))
    cluster = Cluster(BY_HAND)
    match parser.parse_args().command:
        case "start":
            try:
                cluster.start()
            except RuntimeError as error:
                print(error, file=sys.stderr)
                return 1
            print(describe(cluster))
        case "stop":
            cluster.stop()
        case "status":
            print(describe(cluster))
            return 0 if healthy(cluster) else 1
        case "env":
            print(f"export SLURM_CONF={cluster.conf}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

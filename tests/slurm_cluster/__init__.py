"""A real Slurm cluster of virtual nodes on one machine, for the tests.

One slurmctld, one slurmd per virtual node, munged, and slurmdbd with mariadbd for `sacct`, all on the loopback
interface. The nodes claim CPUs, memory and GPUs that do not exist; scheduling, steps, signals, limits, requeue and
accounting are Slurm's own. Partitions and nodes fit the profiles that navforge ships:

    l40s_public   gl001 .. gl004   4 GPUs of type l40s each     (the default)
    h200          gh001            8 GPUs of type h200

Tests take the fixture `slurm`; by hand:

    python -m tests.slurm_cluster start && eval "$(python -m tests.slurm_cluster env)"
    python -m tests.slurm_cluster status
    python -m tests.slurm_cluster stop

Modules: `layout` (nodes, ports, configuration files), `processes` (who lives, who belongs to the cluster), `hosts`
(node names resolve), `supervisor` (the parent of all daemons), `cluster` (start, stop, status; what tests use).
"""

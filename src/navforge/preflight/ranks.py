"""Ranks against tasks, GPUs and srun: what hangs at the rendezvous, or runs with most GPUs idle.

A job of nodes x devices ranks needs as many tasks, placed evenly, started by srun, and one GPU for each.
"""

from __future__ import annotations

from collections.abc import Iterator

from navforge.preflight.allocation import Allocation
from navforge.preflight.finding import Finding, ok, refused, warning

TASKS, PLACEMENT, SRUN, GPUS, CPUS = "tasks", "placement", "srun", "gpus", "cpus"

NAVFORGE_TRAIN = "navforge train"
_SEVERAL_TASKS = "navforge train ... launch=slurm cluster=FILE instead of this script, or srun navforge rank RUN in it"


def check_tasks(allocation: Allocation, nodes: int, devices: int) -> Iterator[Finding]:
    """As many tasks as ranks, on as many nodes; one per node where a launcher starts the ranks of a node."""
    if allocation.launcher is not None:
        yield _launcher_tasks(allocation, allocation.launcher, nodes, devices)
        return
    ranks, found = nodes * devices, allocation.tasks
    wanted = f"nodes={nodes} devices={devices} make {ranks} rank{'s' * (ranks > 1)}"
    remedy = f"#SBATCH --nodes={nodes} --ntasks-per-node={devices}, or nodes= and devices= that fit the job"
    if found < ranks:
        yield refused(
            TASKS,
            f"{wanted}, {allocation.origin} has {_count(found, 'task')}: {_count(found, 'rank')} would wait for "
            f"{ranks - found} that never start",
            remedy,
        )
    elif found > ranks:
        yield refused(
            TASKS,
            f"{wanted}, {allocation.origin} has {_count(found, 'task')}: {found - ranks} would find no place",
            remedy,
        )
    elif allocation.nodes != nodes:
        yield refused(TASKS, f"{wanted}, {allocation.origin} has {_count(allocation.nodes, 'node')}", remedy)
    else:
        yield ok(TASKS, f"{_count(found, 'task')} on {_count(nodes, 'node')} for {_count(ranks, 'rank')}")


def check_placement(allocation: Allocation, nodes: int, devices: int) -> Iterator[Finding]:
    """The same number of tasks on every node, and asked for per node."""
    if allocation.launcher is not None:
        yield ok(PLACEMENT, f"{allocation.launcher} places {_count(devices, 'rank')} per node")
        return
    remedy = f"#SBATCH --ntasks-per-node={devices} instead of --ntasks={nodes * devices}"
    placed = allocation.placement
    if placed and len(set(placed)) > 1:
        shown = " + ".join(map(str, placed))
        yield refused(PLACEMENT, f"Slurm placed {shown} tasks on the nodes; every node needs {devices}", remedy)
    elif allocation.tasks_per_node is not None and allocation.tasks_per_node != devices:
        yield refused(
            PLACEMENT,
            f"{allocation.origin} has {allocation.tasks_per_node} tasks per node, devices={devices} ranks",
            remedy,
        )
    elif allocation.tasks_per_node is None and allocation.nodes > 1 and allocation.tasks > allocation.nodes:
        yield refused(
            PLACEMENT,
            f"{allocation.tasks} tasks on {allocation.nodes} nodes without a count per node; Slurm may place them "
            f"unevenly ({allocation.tasks - allocation.nodes + 1} + {' + '.join(['1'] * (allocation.nodes - 1))})",
            remedy,
        )
    else:
        yield ok(PLACEMENT, f"{devices} per node")


def check_srun(allocation: Allocation, command: str = "navforge rank RUN") -> Iterator[Finding]:
    """A job of several tasks must start them with srun: else one process waits for the others until the time limit.

    A launcher on several nodes needs it too. `navforge train` is the contrary: every task that srun starts would start
    the whole run.

    Args:
        allocation: what the job has.
        command: what srun is to start.
    """
    launcher, remedy = allocation.launcher, f"put srun before the command: srun --kill-on-bad-exit=1 {command}"
    if launcher == NAVFORGE_TRAIN and allocation.srun:
        yield refused(
            SRUN,
            "srun starts navforge train, which starts all ranks by itself",
            f"navforge train without srun, in one task; or {_SEVERAL_TASKS}",
        )
    elif launcher is not None and launcher != NAVFORGE_TRAIN and allocation.nodes > 1 and not allocation.srun:
        yield refused(
            SRUN,
            f"{launcher} is started without srun in a job of {allocation.nodes} nodes: it runs on the first one only "
            "and waits for the others",
            remedy,
        )
    elif launcher is not None:
        yield ok(SRUN, f"{launcher} starts the ranks{' of each node' if allocation.srun else ' by itself'}")
    elif allocation.srun or allocation.tasks == 1:
        yield ok(SRUN, "ranks are started by srun" if allocation.srun else "one task needs no srun")
    else:
        yield refused(
            SRUN,
            f"one process is started without srun in a job of {allocation.tasks} tasks; it would wait for "
            f"{allocation.tasks - 1} others until the time limit",
            remedy,
        )


def check_gpus(allocation: Allocation, devices: int, accelerator: str) -> Iterator[Finding]:
    """One GPU per rank: none shared, none idle, none hidden from its rank.

    Args:
        allocation: what the job has.
        devices: ranks per node.
        accelerator: `cpu`, `gpu` or `auto`, which takes GPUs where there are any.
    """
    has = allocation.gpus_per_node
    if has is None:
        yield warning(GPUS, f"{allocation.origin} does not say how many GPUs a node gives")
    elif accelerator == "cpu":
        yield _without_gpus(allocation, has)
    elif has < devices and not (accelerator == "auto" and has == 0):
        yield refused(
            GPUS,
            f"{allocation.origin} has {_count(has, 'GPU')} per node for {_count(devices, 'rank')}"
            + (": several ranks would share one and run out of its memory" if has else ""),
            f"#SBATCH --gres=gpu:{devices}",
        )
    elif has > devices:
        yield refused(
            GPUS,
            f"{_count(devices, 'rank')} per node and {has} GPUs: {has - devices} would stay idle",
            f"devices={has}{'' if allocation.launcher else f' with --ntasks-per-node={has}'}, "
            f"or #SBATCH --gres=gpu:{devices}",
        )
    elif allocation.visible_gpus is not None and allocation.visible_gpus not in (1, has):
        yield refused(
            GPUS,
            f"a rank sees {_count(allocation.visible_gpus, 'GPU')} of the {has} its node has; it must see all, or its "
            "own one only",
            f"#SBATCH --gres=gpu:{devices} instead of --gpus-per-task",
        )
    elif has == 0:
        yield warning(GPUS, "no GPU: training on CPU", "train.accelerator=cpu says so; #SBATCH --gres=gpu:N asks for N")
    else:
        yield ok(GPUS, f"{_count(has, 'GPU')} per node for {_count(devices, 'rank')}")


def check_visible(visible: int, devices: int, accelerator: str, *, launch: str = "local") -> Iterator[Finding]:
    """As `check_gpus` where no scheduler counts: GPUs this process sees against ranks on this machine."""
    if accelerator == "cpu" or (visible == 0 and accelerator == "auto"):
        yield ok(GPUS, "training on CPU")
    elif visible < devices:
        yield refused(
            GPUS,
            f"this machine shows {_count(visible, 'GPU')} for {_count(devices, 'rank')}",
            f"devices={visible}" if visible else "train.accelerator=cpu, or a machine with a GPU",
        )
    elif visible > devices:
        names = ",".join(map(str, range(devices)))
        yield refused(
            GPUS,
            f"{_count(devices, 'rank')} would train while {visible - devices} of {visible} GPUs stay idle",
            f"devices={visible}, or CUDA_VISIBLE_DEVICES={names} to leave the others to someone else",
        )
    else:
        yield ok(GPUS, f"{_count(visible, 'GPU')} for {_count(devices, 'rank')} ({launch})")


def check_cpus(workers: int, cpus_per_rank: float, key: str = "train.loader_workers") -> Iterator[Finding]:
    """Loader workers against the CPUs of a rank; the rank itself needs one.

    Args:
        workers: of a rank.
        cpus_per_rank: of a rank.
        key: that gives the workers, for the remedy.
    """
    if cpus_per_rank < 1:
        yield refused(
            CPUS,
            f"{cpus_per_rank:.2g} CPUs per rank: ranks would compete for CPUs",
            f"fewer devices=, or #SBATCH --cpus-per-task=N with N of at least 1 + {key}",
        )
        return
    most = max(1, int(cpus_per_rank))
    if workers > most:
        yield refused(
            CPUS,
            f"{workers} loader workers on {most} CPU{'s' * (most > 1)} of a rank",
            f"{key}={max(most - 1, 0)}, or #SBATCH --cpus-per-task={workers + 1}",
        )
    else:
        yield ok(CPUS, f"{_count(workers, 'loader worker')} and the rank itself on {_count(most, 'CPU')}")


def _launcher_tasks(allocation: Allocation, launcher: str, nodes: int, devices: int) -> Finding:
    """The job of a launcher: one task on each node; `navforge train` on one node only."""
    if launcher == NAVFORGE_TRAIN and (nodes > 1 or allocation.nodes > 1):
        return refused(
            TASKS,
            f"navforge train in a batch script starts ranks on one node only; nodes={nodes}, {allocation.origin} has "
            f"{_count(allocation.nodes, 'node')}",
            _SEVERAL_TASKS,
        )
    if launcher == NAVFORGE_TRAIN and allocation.tasks > 1:
        return refused(
            TASKS,
            f"navforge train starts all ranks by itself, {allocation.origin} has {allocation.tasks} tasks",
            f"#SBATCH --ntasks=1 and navforge train devices={devices} without srun; or {_SEVERAL_TASKS}",
        )
    if allocation.nodes != nodes:
        return refused(
            TASKS,
            f"{launcher} is for {_count(nodes, 'node')}, {allocation.origin} has {_count(allocation.nodes, 'node')}",
            f"#SBATCH --nodes={nodes}, or the number of nodes that {launcher} is given",
        )
    if allocation.srun and allocation.tasks != nodes:
        return refused(
            TASKS,
            f"{launcher} starts {_count(devices, 'rank')} on its node, and srun would start it {allocation.tasks} "
            f"times on {_count(nodes, 'node')}",
            f"#SBATCH --nodes={nodes} --ntasks-per-node=1",
        )
    return ok(TASKS, f"one task per node, in which {launcher} starts {_count(devices, 'rank')}")


def _without_gpus(allocation: Allocation, has: int) -> Finding:
    if not has:
        return ok(GPUS, "training on CPU, no GPU asked for")
    return refused(
        GPUS, f"train.accelerator=cpu in a job with {_count(has, 'GPU')} per node", "drop --gres, or train on the GPUs"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

"""How ranks share a planner: alone, replicated (DDP) or sharded (FSDP), through Lightning Fabric.

Ranks have met before (`training.ranks.rendezvous`); nothing here starts processes or guesses a cluster.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from lightning_fabric.strategies.single_device import SingleDeviceStrategy
from lightning_fabric.strategies.strategy import Strategy
from torch import Tensor, nn
from torch.distributed.checkpoint import state_dict as dcp
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from navforge.core.errors import ConfigError
from navforge.models.modules import Encoder
from navforge.models.planner import load_all_but
from navforge.training.config import LoopConfig
from navforge.training.ranks.rank_info import RankInfo

FULL = dcp.StateDictOptions(full_state_dict=True, cpu_offload=True)
WHOLE = dcp.StateDictOptions(full_state_dict=True)


class Cluster(ClusterEnvironment):
    """A `RankInfo` in Lightning's terms; Lightning's own reading of Slurm's variables never runs."""

    def __init__(self, rank_info: RankInfo) -> None:
        self._rank_info = rank_info

    @property
    def creates_processes_externally(self) -> bool:
        """Yes: the launcher does."""
        return True

    @property
    def main_address(self) -> str:
        """Where ranks have met."""
        return self._rank_info.master_addr

    @property
    def main_port(self) -> int:
        """Where ranks have met."""
        return self._rank_info.master_port

    @staticmethod
    def detect() -> bool:
        """Never by itself."""
        return False

    def world_size(self) -> int:
        """Ranks in all."""
        return self._rank_info.world_size

    def set_world_size(self, size: int) -> None:
        """The launcher has decided that."""

    def global_rank(self) -> int:
        """This rank."""
        return self._rank_info.rank

    def set_global_rank(self, rank: int) -> None:
        """The launcher has decided that."""

    def local_rank(self) -> int:
        """On its node."""
        return self._rank_info.local_rank

    def node_rank(self) -> int:
        """Of its node."""
        return self._rank_info.node_rank


def backend_of(config: LoopConfig) -> str:
    """What ranks talk over: gloo on the CPU, NCCL between GPUs and gloo for what stays on the CPU."""
    return "cpu:gloo,cuda:nccl" if _on_gpu(config) else "gloo"


def device_of(config: LoopConfig, rank_info: RankInfo) -> torch.device:
    """The device of a rank.

    Raises:
        ConfigError: GPUs are asked for and there are too few.
    """
    if not _on_gpu(config):
        return torch.device("cpu")
    seen = torch.cuda.device_count()
    if seen <= rank_info.local_rank and seen != 1:
        raise ConfigError(
            f"rank {rank_info.rank} on {rank_info.node} is number {rank_info.local_rank} of {rank_info.devices} there, "
            f"but sees {seen} GPUs; ask for as many GPUs per node as ranks (devices={rank_info.devices}), or give "
            "train.accelerator=cpu"
        )
    # Slurm's --gpus-per-task shows every rank one GPU, its own.
    return torch.device("cuda", rank_info.local_rank if seen > rank_info.local_rank else 0)


def fabric_of(config: LoopConfig, rank_info: RankInfo) -> Fabric:
    """Fabric with the configured strategy and precision, set up for this rank."""
    device = device_of(config, rank_info)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        strategy=_strategy(config, rank_info, device),
        devices=1,
        num_nodes=rank_info.nodes,
        precision=config.precision,  # type: ignore[arg-type]
        plugins=Cluster(rank_info) if config.strategy == "auto" and rank_info.world_size == 1 else None,
    )
    fabric.launch()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return fabric


def wrap(fabric: Fabric, module: nn.Module) -> nn.Module:
    """The module on its device under the strategy; its own parameters are what an optimiser takes."""
    fabric.strategy.module_to_device(module)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*find_unused_parameters.*")
        return fabric.strategy.setup_module(module)


@contextmanager
def unsynchronised(wrapped: nn.Module, enabled: bool) -> Iterator[None]:
    """Gradients stay on their ranks: for all rounds of an accumulated step but the last."""
    if enabled and isinstance(wrapped, DistributedDataParallel):
        with wrapped.no_sync():
            yield
    elif isinstance(wrapped, FSDPModule):
        wrapped.set_requires_gradient_sync(not enabled)
        yield
    else:
        yield


def whole_state(module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and optimiser state, unsharded; under FSDP a collective, whose result is empty on ranks but the first."""
    if isinstance(module, FSDPModule):
        weights: Any = dcp.get_model_state_dict(module, options=FULL)
        return weights, dcp.get_optimizer_state_dict(module, optimiser, options=FULL)
    return module.state_dict(), optimiser.state_dict()


def load_whole_state(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    outside: set[str],
) -> None:
    """Inverse of `whole_state`, given the whole on every rank; weights may lack `outside`."""
    if isinstance(module, FSDPModule):
        options = replace(WHOLE, strict=not outside)
        dcp.set_model_state_dict(module, dict(weights), options=options)  # it changes the dict it is given
        dcp.set_optimizer_state_dict(module, optimiser, dict(state), options=WHOLE)
    else:
        load_all_but(module, weights, outside)
        optimiser.load_state_dict(state)


def share_buffers(module: nn.Module, world_size: int) -> None:
    """Running statistics of rank 0 for all, as a checkpoint holds them."""
    if world_size > 1:
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, src=0)


def _on_gpu(config: LoopConfig) -> bool:
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("train.accelerator=gpu: torch sees no GPU here; give train.accelerator=cpu or auto")
    return config.accelerator != "cpu" and torch.cuda.is_available()


def _strategy(config: LoopConfig, rank_info: RankInfo, device: torch.device) -> Strategy:
    if config.strategy == "auto" and rank_info.world_size == 1:
        return SingleDeviceStrategy(device=device)
    devices = [device] * rank_info.devices  # indexed by the local rank
    if config.strategy == "fsdp":
        sharded = ModelParallelStrategy(_shard, data_parallel_size=rank_info.world_size, tensor_parallel_size=1)
        sharded.parallel_devices, sharded.cluster_environment = devices, Cluster(rank_info)
        return sharded
    return DDPStrategy(
        parallel_devices=devices,
        cluster_environment=Cluster(rank_info),
        # Buffers are rank 0's wherever they count (checkpoints, validation), so they need not travel at every step.
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
        # DDP sorts its buckets anew after the first step, which changes the order of additions among four ranks and
        # more: an uninterrupted and a resumed run would differ in the last bits. With this it does not. The price is a
        # walk through the graph, so only the CPU pays it, where runs are promised to agree to the bit.
        find_unused_parameters=device.type == "cpu",
    )


def _shard(module: nn.Module, mesh: Any) -> nn.Module:
    """FSDP over all ranks, layer by layer where layers take and return plain tensors; the rest is gathered as one."""
    from navforge.models.timm_alone import timm  # noqa: PLC0415 (slow to load, and for FSDP only)

    over = mesh["data_parallel"]
    parts = list(module.modules())
    sharded = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, timm.models.vision_transformer.Block)
    layers = [part for part in parts if isinstance(part, sharded)]
    layers += [block for part in parts if isinstance(part, Encoder) for block in part.blocks()]
    for layer in layers:
        fully_shard(layer, mesh=over)
    fully_shard(module, mesh=over)
    return module

"""What of a network never changes in training."""

from __future__ import annotations

from torch import nn
from torch.nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm

BATCH_NORMS = (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)


def frozen_norms(network: nn.Module) -> list[nn.Module]:
    """Batch norms that do not learn; their running statistics shall not either."""
    return [
        module
        for module in network.modules()
        if isinstance(module, BATCH_NORMS) and not any(p.requires_grad for p in module.parameters())
    ]


def frozen_names(network: nn.Module) -> set[str]:
    """Names in the network's state of what never changes."""
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    still = frozen_norms(network)
    for prefix, module in network.named_modules():
        if isinstance(module, BATCH_NORMS) and not any(module is norm for norm in still):
            learning |= {f"{prefix}.{name}" for name, _ in module.named_buffers()}
    return set(network.state_dict()) - learning

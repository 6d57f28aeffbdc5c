"""Losses of the perception auxiliaries; vehicles are assigned to predictions by the Hungarian method (DETR)."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from navforge.models.contract import Targets
from navforge.models.perception import PerceptionConfig
from navforge.models.perception_layers import Perceived


def perception_loss(perceived: Perceived, targets: Targets, config: PerceptionConfig) -> dict[str, Tensor]:
    """Loss terms by name, factors applied: those of the public TransFuser.

    `agent_class` is the mean binary cross-entropy of all predictions, `agent_box` the absolute error summed over a
    matched box's five columns and averaged over the batch's vehicles, `bev_semantics` the mean cross-entropy of
    pixels. All are computed in float32 whatever precision the network runs in.
    """
    terms: dict[str, Tensor] = {}
    if perceived.boxes is not None and perceived.logits is not None:
        assert targets.agents is not None and targets.agent_labels is not None, "auxiliary_targets asked for agents"
        present = in_view(targets.agents, targets.agent_labels, config.view_angle)
        classes, boxes = agent_loss(perceived.boxes.float(), perceived.logits.float(), targets.agents, present, config)
        terms |= {"agent_class": config.class_factor * classes, "agent_box": config.box_factor * boxes}
    if perceived.semantics is not None:
        assert targets.bev_semantics is not None, "auxiliary_targets asked for bev_semantics"
        error = functional.cross_entropy(perceived.semantics.float(), targets.bev_semantics.long())
        terms["bev_semantics"] = config.semantics_factor * error
    return terms


def in_view(boxes: Tensor, present: Tensor, view_angle: float) -> Tensor:
    """(B, T) `present` without the vehicles whose bearing from the ego vehicle is beyond +- `view_angle` rad."""
    bearing = torch.atan2(boxes[..., 1], boxes[..., 0])
    return present & (bearing.abs() <= view_angle)


def agent_loss(
    boxes: Tensor, logits: Tensor, true_boxes: Tensor, present: Tensor, config: PerceptionConfig
) -> tuple[Tensor, Tensor]:
    """Classification and box loss, factors not applied.

    Args:
        boxes: (B, A, 5) predicted.
        logits: (B, A) predicted.
        true_boxes: (B, A, 5); rows without a vehicle are anything.
        present: (B, A) bool, which rows hold a vehicle.
        config: factors of the matching cost.
    """
    matched = match(boxes, logits, true_boxes, present, config)
    true_boxes = true_boxes.gather(1, matched[..., None].expand_as(true_boxes))
    present = present.gather(1, matched)
    classes = functional.binary_cross_entropy_with_logits(logits, present.to(logits.dtype))
    error = (boxes - true_boxes).abs().sum(dim=-1)
    return classes, torch.where(present, error, 0.0).sum() / present.sum().clamp_min(1)


@torch.no_grad()
def match(boxes: Tensor, logits: Tensor, true_boxes: Tensor, present: Tensor, config: PerceptionConfig) -> Tensor:
    """(B, A) index of the target row assigned to each prediction, a permutation of least total cost.

    The cost of a pair is `class_factor` times its binary cross-entropy plus, if the row holds a vehicle,
    `box_factor` times the absolute distance of the centres in x and y. A prediction that is not finite costs
    nothing or very much: the loss, not the matching, is where the trainer notices it.
    """
    says = torch.where(present[:, None, :], -logits[:, :, None], logits[:, :, None])
    cost = config.class_factor * functional.softplus(says)
    distance = (boxes[:, :, None, :2] - true_boxes[:, None, :, :2]).abs().sum(dim=-1)
    cost = cost + torch.where(present[:, None, :], config.box_factor * distance, 0.0)
    return _cheapest(torch.nan_to_num(cost))


@torch.compiler.disable()
def _cheapest(cost: Tensor) -> Tensor:
    rows = [linear_sum_assignment(each)[1] for each in cost.cpu().numpy()]
    return torch.stack([torch.from_numpy(row) for row in rows]).to(cost.device)

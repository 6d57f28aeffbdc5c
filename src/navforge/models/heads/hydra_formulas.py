"""The formulas of Hydra-MDP: imitation target, distillation targets, weighted confidence. Pure functions of tensors.

Sources: Hydra-MDP (arXiv 2406.06978) and the public GTRS code, as collected in planner specifications 3.1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def imitation_target(entries: Tensor, human: Tensor, sigma: float) -> Tensor:
    """Soft target over the vocabulary: softmax of -d / sigma.

    d is the sum over the 8 poses of the squared differences in x, y (m2) and heading (rad2, the short way round).

    Args:
        entries: (N, 8, 3) vocabulary at 2 Hz.
        human: (B, 8, 3) the human's plan at 2 Hz.
        sigma: temperature; 0.5 in the public code, 1 in the paper.

    Returns:
        (B, N), rows sum to 1.
    """
    position = (entries[None, :, :, :2] - human[:, None, :, :2]).square().sum(dim=(-2, -1))
    turn = entries[None, :, :, 2] - human[:, None, :, 2]
    heading = torch.atan2(turn.sin(), turn.cos()).square().sum(dim=-1)
    return functional.softmax(-(position + heading) / sigma, dim=-1)


def imitation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of (B, N) logits with soft targets, mean over the batch."""
    return functional.cross_entropy(logits, target)


def distillation_loss(logits: Tensor, teacher: Tensor, *, half_is_fail: bool) -> Tensor:
    """Binary cross-entropy of (B, N) logits with teacher sub-scores in [0, 1], mean over entries and batch.

    Args:
        logits: (B, N).
        teacher: (B, N).
        half_is_fail: take the level 0.5 for 0, as the public code does for NC and DDC; not for continuous sub-scores.
    """
    if half_is_fail:
        teacher = torch.where(teacher == 0.5, 0.0, teacher)
    return functional.binary_cross_entropy_with_logits(logits, teacher)


def weighted_confidence(
    imitation: Tensor,
    multiplicative: list[tuple[float, Tensor]],
    weighted: list[tuple[float, Tensor]],
    *,
    imitation_factor: float,
    weighted_factor: float,
) -> Tensor:
    """(B, N) value of each entry; the largest is the plan.

    `imitation_factor` log softmax(imitation) + sum of w log sigmoid(multiplicative)
    + `weighted_factor` log(sum of w sigmoid(weighted)).

    Args:
        imitation: (B, N) logits.
        multiplicative: factor and (B, N) logits of each multiplicative sub-score.
        weighted: factor and (B, N) logits of each weighted sub-score; those with factor 0 drop out.
        imitation_factor: of the log imitation probability.
        weighted_factor: of the log of the sum.
    """
    value = imitation_factor * functional.log_softmax(imitation, dim=-1)
    for factor, logits in multiplicative:
        value = value + factor * functional.logsigmoid(logits)
    if weighted_factor > 0 and any(factor > 0 for factor, _ in weighted):
        value = value + weighted_factor * _log_sum(weighted)
    return value


def log_confidences(imitation: Tensor, multiplicative: list[Tensor], weighted: list[tuple[float, Tensor]]) -> Tensor:
    """(B, N, K) what `weighted_confidence` gives a factor each: it is their sum, each times its factor.

    Args:
        imitation: (B, N) logits.
        multiplicative: (B, N) logits of each multiplicative sub-score.
        weighted: factor and (B, N) logits of each weighted sub-score; without a positive factor there is no such part.
    """
    parts = [functional.log_softmax(imitation, dim=-1), *(functional.logsigmoid(logits) for logits in multiplicative)]
    if any(factor > 0 for factor, _ in weighted):
        parts.append(_log_sum(weighted))
    return torch.stack(parts, dim=-1)


def _log_sum(weighted: list[tuple[float, Tensor]]) -> Tensor:
    kept = [factor * logits.sigmoid() for factor, logits in weighted if factor > 0]
    total = torch.stack(kept).sum(dim=0)
    return total.clamp_min(torch.finfo(total.dtype).tiny).log()

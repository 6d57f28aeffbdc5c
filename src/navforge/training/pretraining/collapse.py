"""Whether features say anything about the image: their deviation over a batch, and their effective rank.

A collapsed encoder gives every image the same features, or the same ones at each place. Therefore both are taken of
tokens less the mean over the batch at their place.
"""

from __future__ import annotations

import torch
from torch import Tensor

SAMPLE = 256
"""Tokens of a batch by which the effective rank is taken; it is at most this."""
LEAST_STD, LEAST_RANK = 0.01, 2.0
"""Below one of these an encoder is said to have collapsed. Features are layer-normalised: their scale is one."""


def deviations(features: Tensor) -> Tensor:
    """(B, L, D) features less the mean over the batch at their place, float32."""
    features = features.float()
    return features - features.mean(dim=0, keepdim=True)


def feature_std(deviation: Tensor) -> Tensor:
    """Root mean square of the deviations, over all."""
    return deviation.square().mean().sqrt()


def effective_rank(rows: Tensor) -> Tensor:
    """RankMe (arXiv 2210.02885): exp of the entropy of the singular values of (N, D) `rows`, scaled to sum to one.

    Between 1 and min(N, D); 1 for rows that are all zero.
    """
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    singular = torch.linalg.eigvalsh(gram.double()).clamp(min=0).sqrt()
    share = singular / singular.sum().clamp(min=torch.finfo(torch.float64).tiny)
    return torch.special.entr(share).sum().exp().float()


def spread(tokens: Tensor, count: int = SAMPLE) -> Tensor:
    """(N, D) at most `count` of (B, L, D) tokens, evenly spread over images and places."""
    rows = tokens.flatten(0, 1)
    return rows[:: -(-len(rows) // count)]


def describe_collapse(std: float, rank: float) -> str | None:
    """What to tell the user of features that have collapsed, None of others."""
    if std >= LEAST_STD and rank >= LEAST_RANK:
        return None
    return (
        f"warning: the encoder has collapsed: features of different images differ by {std:.2g} (standard deviation), "
        f"effective rank {rank:.1f}; a lower train.learning_rate, longer train.warmup or larger batches help"
    )

"""Hydra-MDP: score every vocabulary entry by imitation and by one distilled head per sub-score; choose the best."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from navforge.models.contract import STATUS_SIZE, HeadInput, HeadOutput, PlannerOutput, Targets
from navforge.models.heads.hydra_formulas import (
    distillation_loss,
    imitation_loss,
    imitation_target,
    log_confidences,
    weighted_confidence,
)
from navforge.models.heads.weights import OVERALL
from navforge.models.modules import Head
from navforge.models.perception_layers import Perceived, PerceptionBranch
from navforge.models.perception_loss import perception_loss
from navforge.vocabulary.vocabulary import INTERVAL_S, STEPS, Vocabulary

if TYPE_CHECKING:
    from navforge.models.heads.configs import HydraMdpConfig

OVERALL_LOSS = "overall_score"
"""Its loss term; `score` is what validation calls the true score of the chosen entries."""


@dataclass(frozen=True)
class HydraMdpOutput(HeadOutput):
    """Logits of every entry."""

    imitation: Tensor
    """(B, N)."""
    sub_scores: dict[str, Tensor]
    """Column name -> (B, N)."""
    perceived: Perceived | None = None
    """What the auxiliaries say, if there are any."""


class HydraMdpHead(Head):
    """Vocabulary embedding -> self-attention -> cross-attention to tokens -> plus ego status -> score heads."""

    vocabulary: Tensor
    entry_mean: Tensor
    entry_scale: Tensor

    def __init__(
        self, config: HydraMdpConfig, token_channels: int, vocabulary: Vocabulary, bev_channels: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.width, config.feed_forward
        self.register_buffer("vocabulary", torch.from_numpy(vocabulary.poses.copy()))
        self.register_buffer("plans", torch.from_numpy(vocabulary.plans.copy()), persistent=False)
        flat = self.vocabulary.flatten(1)
        scale = flat.std(dim=0, correction=0).clamp_min(1e-3)
        self.register_buffer("entry_mean", flat.mean(dim=0) if config.standardise else torch.zeros(1), persistent=False)
        self.register_buffer("entry_scale", scale if config.standardise else torch.ones(1), persistent=False)
        self.embed = _mlp(STEPS * 3, [hidden], width)
        layer: dict[str, Any] = {
            "d_model": width,
            "nhead": config.attention_heads,
            "dim_feedforward": hidden,
            "dropout": config.dropout,
            "batch_first": True,
        }
        self.vocabulary_encoder = nn.ModuleList(
            _encoder_layer(layer, bias=config.attention_bias) for _ in range(config.vocabulary_layers)
        )
        self.decoder = nn.ModuleList(nn.TransformerDecoderLayer(**layer) for _ in range(config.decoder_layers))
        self.tokens = nn.Identity() if token_channels == width else nn.Linear(token_channels, width)
        self.status = nn.Linear(STATUS_SIZE, width)
        self.imitation = _mlp(width, [hidden, hidden], 1)
        self.sub_scores = nn.ModuleDict({name: _mlp(width, [hidden], 1) for name in config.teacher_columns})
        self.perception: PerceptionBranch | None = None
        if config.auxiliary_targets:
            self.perception = PerceptionBranch(config.perception, width, config.attention_heads, hidden, bev_channels)

    def forward(self, head_input: HeadInput) -> HydraMdpOutput:
        """Logits of every entry for a batch."""
        entries = self.embed((self.vocabulary.flatten(1) - self.entry_mean) / self.entry_scale)[None]
        for layer in self.vocabulary_encoder:
            entries = layer(entries)
        tokens = self.tokens(head_input.tokens)
        entries = entries.expand(len(tokens), -1, -1)
        for layer in self.decoder:
            entries = layer(entries, tokens)
        entries = entries + self.status(head_input.status)[:, None]
        return HydraMdpOutput(
            self.imitation(entries).squeeze(-1),
            {name: head(entries).squeeze(-1) for name, head in self.sub_scores.items()},
            None if self.perception is None else self.perception(tokens, head_input.bev),
        )

    def loss(self, output: HeadOutput, targets: Targets) -> dict[str, Tensor]:
        """Imitation, distillation and perception terms, factors applied."""
        assert isinstance(output, HydraMdpOutput)
        factors = self.config.loss
        target = imitation_target(self.get_buffer("plans"), targets.human_poses, self.config.sigma)
        terms = {"imitation": factors.imitation * imitation_loss(output.imitation, target)}
        for metric in self.config.metrics:
            half_is_fail = self.config.half_is_fail and metric.kind == "multiplicative"
            logits, teacher = output.sub_scores[metric.name], targets.teacher[metric.name]
            term = distillation_loss(logits, teacher, half_is_fail=half_is_fail)
            terms[OVERALL_LOSS if metric is OVERALL else metric.name] = factors[metric.name] * term
        if output.perceived is not None:
            terms |= perception_loss(output.perceived, targets, self.config.perception)
        return {**terms, "total": torch.stack(list(terms.values())).sum()}

    def plan(self, output: HeadOutput) -> PlannerOutput:
        """The entry of highest weighted confidence."""
        assert isinstance(output, HydraMdpOutput)
        factors = self.config.inference
        value = weighted_confidence(
            output.imitation,
            self._of_kind(output, "multiplicative"),
            self._of_kind(output, "weighted"),
            imitation_factor=factors.imitation,
            weighted_factor=factors.weighted,
        )
        chosen = value.argmax(dim=-1)
        return PlannerOutput(self.vocabulary[chosen], INTERVAL_S, value, chosen)

    def log_confidences(self, output: HeadOutput) -> Tensor:
        """(B, N, K) what `config.log_factors` are factors of."""
        assert isinstance(output, HydraMdpOutput)
        gates = [logits for _, logits in self._of_kind(output, "multiplicative")]
        return log_confidences(output.imitation, gates, self._of_kind(output, "weighted"))

    def _of_kind(self, output: HydraMdpOutput, kind: str) -> list[tuple[float, Tensor]]:
        """Factor and logits of each sub-score of a kind."""
        return [(w, output.sub_scores[m.name]) for m, w in self.config.inner_factors if m.kind == kind]


def _encoder_layer(options: dict[str, Any], *, bias: bool) -> nn.TransformerEncoderLayer:
    layer = nn.TransformerEncoderLayer(**options)
    if not bias:
        width, heads, dropout = options["d_model"], options["nhead"], options["dropout"]
        layer.self_attn = nn.MultiheadAttention(width, heads, dropout, bias=False, batch_first=True)
    return layer


def _mlp(inputs: int, hidden: list[int], outputs: int) -> nn.Sequential:
    widths = [inputs, *hidden]
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers += [nn.Linear(narrow, wide), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

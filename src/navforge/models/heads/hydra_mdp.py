"""Hydra-MDP: score every vocabulary entry by imitation and by one distilled head per sub-score; choose the best."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.models.contract import (
    STATUS_SIZE,
    Head,
    HeadConfig,
    HeadInput,
    HeadOutput,
    PlannerOutput,
    Targets,
)
from navforge.models.heads.hydra_formulas import (
    distillation_loss,
    imitation_loss,
    imitation_target,
    log_confidences,
    weighted_confidence,
)
from navforge.models.heads.weights import DRIVESUPRIM_V2, HYDRA_LOSS, taught_metrics
from navforge.models.perception import Perceived, PerceptionBranch, PerceptionConfig
from navforge.models.perception_loss import perception_loss
from navforge.scoring.metrics import Metric
from navforge.scoring.protocols import PROTOCOLS
from navforge.teacher.store import SCORE
from navforge.vocabulary.vocabulary import INTERVAL_S, STEPS, Vocabulary

OVERALL = Metric(name=SCORE, short="PDMS", kind="weighted", weight=1.0)
"""The one head of `target=score`."""
OVERALL_LOSS = "overall_score"
"""Its loss term; `score` is what validation calls the true score of the chosen entries."""


@dataclass(frozen=True, kw_only=True)
class HydraMdpConfig(HeadConfig):
    """Sizes default to the published ones (planner specifications 3.1).

    A sub-score whose loss factor is 0 is not learned and has no head.
    """

    kind: ClassVar[str] = "hydra_mdp"
    needs_vocabulary: ClassVar[bool] = True

    protocol: str = key(
        "epdms_v2",
        "whose sub-scores are distilled and drive the choice",
        choices=tuple(known.name for known in PROTOCOLS),
    )
    target: str = key(
        "sub_scores",
        "what is distilled: each sub-score into a head of its own, or the overall score into one",
        choices=("sub_scores", "score"),
    )
    width: int = key(256, "width of the transformer", low=8)
    attention_heads: int = key(8, "attention heads", low=1)
    feed_forward: int = key(1024, "hidden width of transformer, embedding and score heads", low=8)
    vocabulary_layers: int = key(1, "self-attention layers over the vocabulary", low=0)
    decoder_layers: int = key(3, "layers of cross-attention to the tokens", low=1)
    attention_bias: bool = key(True, "biases in the vocabulary's self-attention; the public network has none")
    dropout: float = key(0.0, "dropout in the transformer", low=0.0, high=0.9)
    standardise: bool = key(False, "give the embedding poses of zero mean and unit variance over the vocabulary")
    sigma: float = key(0.5, "temperature of the imitation target", unit="m2", low=1e-3)
    half_is_fail: bool = key(True, "distil the level 0.5 of NC and DDC as 0")
    loss: Any = key(lambda: HYDRA_LOSS, "factors of the loss terms")
    inference: Any = key(lambda: DRIVESUPRIM_V2, "weighted confidence by which an entry is chosen")
    perception: PerceptionConfig = key(
        lambda: PerceptionConfig(agents=False, bev_semantics=False), "auxiliaries learned from the same tokens"
    )

    def __post_init__(self) -> None:
        """Raise ConfigError for widths that do not divide or a formula that ranks nothing."""
        if self.width % self.attention_heads:
            raise ConfigError(
                f"planner.head.width: {self.width} is not a multiple of attention_heads={self.attention_heads}"
            )
        if self.target == "score":
            self._check_overall()
            return
        taught = [metric.name for metric in taught_metrics(self.protocol)]
        factors = [self.inference.imitation, *(getattr(self.inference, name) for name in taught)]
        if not any(factors):
            raise ConfigError(f"planner.head.inference: every factor of {self.protocol} is 0; no entry can be chosen")
        untaught = [name for name in taught if getattr(self.inference, name) > 0 and getattr(self.loss, name) == 0]
        if untaught:
            raise ConfigError(
                f"planner.head.inference.{untaught[0]}: the sub-score is not learned (its loss factor is 0); "
                "set both or neither"
            )

    def _check_overall(self) -> None:
        if self.loss.score == 0:
            raise ConfigError(
                "planner.head.loss.score: target=score learns nothing else from the teacher; set it above 0"
            )
        if not (self.inference.imitation or self.inference.weighted):
            raise ConfigError("planner.head.inference: imitation and weighted are 0; no entry can be chosen")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What has a head: the protocol's sub-scores whose loss factor is positive, or the overall score."""
        if self.target == "score":
            return (OVERALL,)
        return tuple(m for m in taught_metrics(self.protocol) if getattr(self.loss, m.name) > 0)

    @property
    def inner_factors(self) -> tuple[tuple[Metric, float], ...]:
        """What has a head, with its factor in the weighted confidence; the overall score's is `inference.weighted`."""
        return tuple((m, 1.0 if m is OVERALL else getattr(self.inference, m.name)) for m in self.metrics)

    @property
    def log_factors(self) -> tuple[str, ...]:
        """Keys of `inference` that are factors of a log: one per column of `HydraMdpHead.log_confidences`."""
        gates = [metric.name for metric in self.metrics if metric.kind == "multiplicative"]
        summed = any(factor > 0 for metric, factor in self.inner_factors if metric.kind == "weighted")
        return ("imitation", *gates, *(("weighted",) if summed else ()))

    @property
    def teacher_columns(self) -> tuple[str, ...]:
        """Columns of what has a head."""
        return tuple(metric.name for metric in self.metrics)

    @property
    def teacher_protocol(self) -> str:
        """The protocol distilled."""
        return self.protocol

    @property
    def auxiliary_targets(self) -> tuple[str, ...]:
        """Those of the perception auxiliaries."""
        return self.perception.targets

    def build(self, token_channels: int, vocabulary: Vocabulary | None, *, bev_channels: int = 0) -> HydraMdpHead:
        """The head over `vocabulary`.

        Raises:
            ConfigError: no vocabulary, or segmentation without bird's-eye-view features.
        """
        if vocabulary is None:
            raise ConfigError("the hydra_mdp head chooses from a vocabulary; give vocabulary=FILE.npy")
        return HydraMdpHead(self, token_channels, vocabulary, bev_channels)


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
            terms[OVERALL_LOSS if metric is OVERALL else metric.name] = getattr(factors, metric.name) * term
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

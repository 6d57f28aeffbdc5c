"""Configs of the heads; none loads torch before it builds its head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from navforge.core.config import key
from navforge.core.errors import ConfigError
from navforge.models.contract import HeadConfig
from navforge.models.heads.weights import (
    DRIVESUPRIM_V2,
    HYDRA_LOSS,
    OVERALL,
    InferenceFactors,
    LossFactors,
    taught_metrics,
)
from navforge.models.perception import PerceptionConfig
from navforge.scoring.metrics import Metric
from navforge.scoring.protocols import PROTOCOLS
from navforge.vocabulary.vocabulary import Vocabulary

if TYPE_CHECKING:
    from navforge.models.heads.gru import GruHead
    from navforge.models.heads.hydra_mdp import HydraMdpHead
    from navforge.models.heads.mlp import MlpHead
    from navforge.models.heads.queries import QueriesHead
    from navforge.models.heads.transfuser import TransfuserHead


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
        "what is distilled: each sub-score into its own head, or the overall score into one",
        choices=("sub_scores", "score"),
    )
    width: int = key(256, "width of the transformer", low=8)
    attention_heads: int = key(8, "attention heads", low=1)
    feed_forward: int = key(1024, "hidden width of transformer, embedding and score heads", low=8)
    vocabulary_layers: int = key(1, "self-attention layers over the vocabulary", low=0, high=100)
    decoder_layers: int = key(3, "layers of cross-attention to the tokens", low=1, high=100)
    attention_bias: bool = key(True, "biases in the vocabulary's self-attention; the public network has none")
    dropout: float = key(0.0, "dropout in the transformer", low=0.0, high=0.9)
    standardise: bool = key(False, "give the embedding poses of zero mean and unit variance over the vocabulary")
    sigma: float = key(0.5, "temperature of the imitation target", unit="m2", low=1e-3)
    half_is_fail: bool = key(True, "distil the level 0.5 of NC and DDC as 0")
    loss: LossFactors = key(lambda: HYDRA_LOSS, "factors of the loss terms")
    inference: InferenceFactors = key(lambda: DRIVESUPRIM_V2, "weighted confidence by which an entry is chosen")
    perception: PerceptionConfig = key(
        lambda: PerceptionConfig(agents=False, bev_semantics=False), "auxiliaries learned from the same tokens"
    )

    def __post_init__(self) -> None:
        """Raise ConfigError for widths that do not divide or a formula that ranks nothing."""
        _require_whole_heads(self.width, self.attention_heads)
        if self.target == "score":
            self._check_overall()
            return
        taught = [metric.name for metric in taught_metrics(self.protocol)]
        if not any(self.inference[name] for name in ("imitation", *taught)):
            raise ConfigError(f"planner.head.inference: every factor of {self.protocol} is 0; no entry can be chosen")
        untaught = [name for name in taught if self.inference[name] > 0 and self.loss[name] == 0]
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
        return tuple(m for m in taught_metrics(self.protocol) if self.loss[m.name] > 0)

    @property
    def inner_factors(self) -> tuple[tuple[Metric, float], ...]:
        """What has a head, with its factor in the weighted confidence; the overall score's is `inference.weighted`."""
        return tuple((m, 1.0 if m is OVERALL else self.inference[m.name]) for m in self.metrics)

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
        from navforge.models.heads.hydra_mdp import HydraMdpHead  # noqa: PLC0415 (loads torch)

        return HydraMdpHead(self, token_channels, vocabulary, bev_channels)


@dataclass(frozen=True, kw_only=True)
class RegressionConfig(HeadConfig):
    """Keys of the heads that regress 8 poses at 2 Hz by their mean absolute error (`heads.regression`)."""

    status_history: int = key(
        1, "frames of ego status that are read, at 2 Hz: the current one and those before it", low=1, high=100
    )
    acceleration_penalty: float = key(
        0.0, "factor of the plan's mean square acceleration in the loss", unit="1/(m2/s4)", low=0.0
    )
    jerk_penalty: float = key(0.0, "factor of the plan's mean square jerk in the loss", unit="1/(m2/s6)", low=0.0)

    @property
    def status_frames(self) -> int:
        """As the key says."""
        return self.status_history


@dataclass(frozen=True, kw_only=True)
class MlpHeadConfig(RegressionConfig):
    """Mean of the tokens -> hidden layers with ReLU -> 8 poses at 2 Hz (planner specifications 4 and 5).

    Defaults are those of the public ego-status MLP. The thesis's head is `hidden=256 layer_norm=true
    append_status=true`: 469,272 parameters for tokens of width 1280, 475,416 with `status_history=4`.
    """

    kind: ClassVar[str] = "mlp"

    hidden: int = key(512, "width of the hidden layers", low=1)
    layers: int = key(3, "number of hidden layers", low=1, high=100)
    layer_norm: bool = key(False, "normalise each hidden layer before its ReLU")
    append_status: bool = key(False, "append the ego status to the mean of the tokens")

    def __post_init__(self) -> None:
        """Raise ConfigError for a history that is not read."""
        if self.status_history > 1 and not self.append_status:
            raise ConfigError(
                f"planner.head.status_history: the mlp head reads {self.status_history} frames of ego status only with "
                "append_status=true; set it, or status_history=1"
            )

    def build(self, token_channels: int, vocabulary: Vocabulary | None, *, bev_channels: int = 0) -> MlpHead:
        """The head; it has no use for a vocabulary."""
        from navforge.models.heads.mlp import MlpHead  # noqa: PLC0415 (loads torch)

        return MlpHead(self, token_channels)


@dataclass(frozen=True, kw_only=True)
class QueriesHeadConfig(RegressionConfig):
    """Transformer decoder: 8 learned queries, one per pose, attend to each other, to the tokens and to the ego status.

    The ego status, all its frames together, is one more token. Layers normalise before they attend.
    """

    kind: ClassVar[str] = "queries"

    width: int = key(256, "width of the decoder", low=8)
    attention_heads: int = key(8, "attention heads", low=1)
    feed_forward: int = key(1024, "hidden width of the decoder", low=1)
    decoder_layers: int = key(2, "layers of the decoder", low=1, high=100)
    dropout: float = key(0.0, "dropout in the decoder", low=0.0, high=0.9)

    def __post_init__(self) -> None:
        """Raise ConfigError for widths that do not divide."""
        _require_whole_heads(self.width, self.attention_heads)

    def build(self, token_channels: int, vocabulary: Vocabulary | None, *, bev_channels: int = 0) -> QueriesHead:
        """The head; it has no use for a vocabulary."""
        from navforge.models.heads.queries import QueriesHead  # noqa: PLC0415 (loads torch)

        return QueriesHead(self, token_channels)


@dataclass(frozen=True, kw_only=True)
class GruHeadConfig(RegressionConfig):
    """Gated recurrent unit: from mean of the tokens and ego status, one displacement per 0.5 s; poses are their sums.

    A displacement is the change of x, y and heading in the ego frame of the current pose. There is no teacher forcing.
    """

    kind: ClassVar[str] = "gru"

    hidden: int = key(256, "width of the hidden state", low=1)

    def build(self, token_channels: int, vocabulary: Vocabulary | None, *, bev_channels: int = 0) -> GruHead:
        """The head; it has no use for a vocabulary."""
        from navforge.models.heads.gru import GruHead  # noqa: PLC0415 (loads torch)

        return GruHead(self, token_channels)


@dataclass(frozen=True, kw_only=True)
class TransfuserHeadConfig(HeadConfig):
    """Defaults are the published sizes and factors (planner specifications 4)."""

    kind: ClassVar[str] = "transfuser"

    attention_heads: int = key(8, "attention heads of the decoder", low=1)
    feed_forward: int = key(1024, "hidden width of the decoder and of the regressions", low=1)
    decoder_layers: int = key(3, "layers of the decoder", low=1, high=100)
    dropout: float = key(0.0, "dropout in the decoder", low=0.0, high=0.9)
    trajectory_factor: float = key(10.0, "factor of the plan's mean absolute error", low=0.0)
    perception: PerceptionConfig = key(PerceptionConfig)

    @property
    def auxiliary_targets(self) -> tuple[str, ...]:
        """Those of the perception auxiliaries."""
        return self.perception.targets

    def build(self, token_channels: int, vocabulary: Vocabulary | None, *, bev_channels: int = 0) -> TransfuserHead:
        """The head; it is as wide as the tokens and has no use for a vocabulary.

        Raises:
            ConfigError: the width does not divide, or segmentation is on and the encoder has no BEV features.
        """
        if token_channels % self.attention_heads:
            raise ConfigError(
                f"planner.head.attention_heads: tokens of width {token_channels} are not a multiple of "
                f"{self.attention_heads}"
            )
        from navforge.models.heads.transfuser import TransfuserHead  # noqa: PLC0415 (loads torch)

        return TransfuserHead(self, token_channels, bev_channels)


HEADS: tuple[type[HeadConfig], ...] = (
    HydraMdpConfig,
    MlpHeadConfig,
    QueriesHeadConfig,
    GruHeadConfig,
    TransfuserHeadConfig,
)
"""The heads of this package."""


def _require_whole_heads(width: int, attention_heads: int) -> None:
    if width % attention_heads:
        raise ConfigError(f"planner.head.width: {width} is not a multiple of attention_heads={attention_heads}")

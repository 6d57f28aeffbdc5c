"""Released GTRS-Dense checkpoints (Hydra-MDP with V2-99) under the names of this project."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from navforge.models.encoders.vovnet import from_detectron

NEVER_RUN = ("_query_embedding.", "_tf_decoder.", "_agent_head.")
"""Parts of the public network that its forward pass does not call: a vehicle detector left over from TransFuser."""

_BACKBONE = "_backbone.image_encoder."
_ATTENTION = "_trajectory_head.encoder.self_attn."
_RENAMED = (
    (r"downscale_layer\.(\w+)", r"encoder.project.\1"),
    (r"_keyval_embedding\.weight", r"encoder.position"),
    (r"_status_encoding\.(\w+)", r"head.status.\1"),
    (r"_trajectory_head\.vocab", r"head.vocabulary"),
    (r"_trajectory_head\.pos_embed\.(.+)", r"head.embed.\1"),
    (r"_trajectory_head\.encoder\.(linear\d|norm1)\.(\w+)", r"head.vocabulary_encoder.0.\1.\2"),
    (r"_trajectory_head\.encoder\.norm3\.(\w+)", r"head.vocabulary_encoder.0.norm2.\1"),
    (r"_trajectory_head\.transformer\.layers\.(.+)", r"head.decoder.\1"),
    (r"_trajectory_head\.heads\.imi\.(.+)", r"head.imitation.\1"),
    (r"_trajectory_head\.heads\.(.+)", r"head.sub_scores.\1"),
)


def from_gtrs_dense(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the public model under our names; names that are not of it are kept, for strict loading to refuse.

    Args:
        state: without the `agent.model.` before every name. Queries, keys and values of the vocabulary's
            self-attention, three matrices there, become one; what is in `NEVER_RUN` is left out.
    """
    backbone = {name.removeprefix(_BACKBONE): value for name, value in state.items() if name.startswith(_BACKBONE)}
    converted = {f"encoder.network.{name}": value for name, value in from_detectron(backbone).items()}
    attention = {name.removeprefix(_ATTENTION): value for name, value in state.items() if name.startswith(_ATTENTION)}
    target = "head.vocabulary_encoder.0.self_attn."
    parts = [attention.pop(f"to_{part}.weight", None) for part in ("q", "k", "v")]
    present = [part for part in parts if part is not None]
    if present:
        converted[f"{target}in_proj_weight"] = torch.cat(present)
    converted |= {target + name.replace("to_out", "out_proj"): value for name, value in attention.items()}
    for name, value in state.items():
        if not name.startswith((_BACKBONE, _ATTENTION, *NEVER_RUN)):
            converted[_renamed(name)] = value
    return converted


def _renamed(name: str) -> str:
    for pattern, template in _RENAMED:
        if match := re.fullmatch(pattern, name):
            return match.expand(template)
    return name

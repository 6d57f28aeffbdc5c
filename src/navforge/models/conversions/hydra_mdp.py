"""GTRS-Dense (NVlabs/GTRS, `navsim/agents/gtrs_dense`): Hydra-MDP over camera images with V2-99.

Our planner of the same function is `HydraMdpConfig(attention_bias=False)` with the encoder `network=v2_99`,
`normalise=false`: see the recipe `gtrs_dense_v8192_v2_99`.
"""

from __future__ import annotations

from navforge.models.conversion import Conversion, Rule
from navforge.models.encoders.vovnet import published_rules

ENCODER = r"head\.vocabulary_encoder\.0"

GTRS_DENSE = Conversion(
    name="GTRS-Dense (V2-99)",
    marks=(
        "_backbone.image_encoder.stem.stem_1/conv.weight",
        "_trajectory_head.vocab",
        "_trajectory_head.encoder.self_attn.to_q.weight",
    ),
    rules=(
        *published_rules(r"encoder\.network\.", "_backbone.image_encoder."),
        Rule(r"encoder\.project\.(.+)", r"downscale_layer.\1"),
        Rule(r"encoder\.position", r"_keyval_embedding.weight"),
        Rule(r"head\.vocabulary", r"_trajectory_head.vocab"),
        Rule(r"head\.embed\.(.+)", r"_trajectory_head.pos_embed.\1"),
        Rule(
            rf"{ENCODER}\.self_attn\.in_proj_weight",
            (
                r"_trajectory_head.encoder.self_attn.to_q.weight",
                r"_trajectory_head.encoder.self_attn.to_k.weight",
                r"_trajectory_head.encoder.self_attn.to_v.weight",
            ),
        ),
        Rule(rf"{ENCODER}\.self_attn\.out_proj\.weight", r"_trajectory_head.encoder.self_attn.to_out.weight"),
        Rule(rf"{ENCODER}\.norm2\.(.+)", r"_trajectory_head.encoder.norm3.\1"),
        Rule(rf"{ENCODER}\.(linear1|linear2|norm1)\.(.+)", r"_trajectory_head.encoder.\1.\2"),
        Rule(r"head\.decoder\.(.+)", r"_trajectory_head.transformer.layers.\1"),
        Rule(r"head\.status\.(.+)", r"_status_encoding.\1"),
        Rule(r"head\.imitation\.(.+)", r"_trajectory_head.heads.imi.\1"),
        Rule(r"head\.sub_scores\.(\w+)\.(.+)", r"_trajectory_head.heads.\1.\2"),
        Rule(r"head\.perception\.queries", r"_query_embedding.weight"),
        Rule(r"head\.perception\.decoder\.(.+)", r"_tf_decoder.layers.\1"),
        Rule(r"head\.perception\.perception\.box\.(.+)", r"_agent_head._mlp_states.\1"),
        Rule(r"head\.perception\.perception\.label\.(.+)", r"_agent_head._mlp_label.0.\1"),
    ),
    unused=(r"_query_embedding\.weight", r"_tf_decoder\..+", r"_agent_head\..+"),
    vocabulary="_trajectory_head.vocab",
    any_vocabulary=True,
)
"""Released checkpoints were trained on 16384 entries; the public code drops those and reads 8192 or 16384 from a file,
so another vocabulary may be given here too. The published forward pass never calls the vehicle detector the network
holds (`unused`): a planner without the auxiliary `agents` leaves it out, one with it takes it over.
"""

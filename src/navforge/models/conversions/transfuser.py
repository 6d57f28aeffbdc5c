"""TransFuser and LTF of the NAVSIM repository (`navsim/agents/transfuser`, v1.1 and v2.2).

LTF is recognised by its keys: it has `_backbone.lidar_latent`, and so has our encoder with `latent=true`.
"""

from __future__ import annotations

from navforge.models.conversion import Conversion, Rule

BLOCK = r"encoder\.fusions\.(\d+)\.blocks\.(\d+)"

TRANSFUSER = Conversion(
    name="TransFuser (NAVSIM)",
    marks=("_backbone.transformers.0.pos_emb", "_trajectory_head._mlp.0.weight", "_keyval_embedding.weight"),
    rules=(
        Rule(r"encoder\.latent", r"_backbone.lidar_latent"),
        Rule(r"encoder\.image\.network\.(.+)", r"_backbone.image_encoder.\1"),
        Rule(r"encoder\.ground\.network\.(.+)", r"_backbone.lidar_encoder.\1"),
        Rule(r"encoder\.fusions\.(\d+)\.position", r"_backbone.transformers.\1.pos_emb"),
        Rule(r"encoder\.fusions\.(\d+)\.to_image\.(.+)", r"_backbone.lidar_channel_to_img.\1.\2"),
        Rule(r"encoder\.fusions\.(\d+)\.to_ground\.(.+)", r"_backbone.img_channel_to_lidar.\1.\2"),
        Rule(r"encoder\.fusions\.(\d+)\.norm\.(.+)", r"_backbone.transformers.\1.ln_f.\2"),
        Rule(rf"{BLOCK}\.attention_norm\.(.+)", r"_backbone.transformers.\1.blocks.\2.ln1.\3"),
        Rule(rf"{BLOCK}\.mlp_norm\.(.+)", r"_backbone.transformers.\1.blocks.\2.ln2.\3"),
        Rule(rf"{BLOCK}\.attention\.project\.(.+)", r"_backbone.transformers.\1.blocks.\2.attn.proj.\3"),
        Rule(rf"{BLOCK}\.attention\.(.+)", r"_backbone.transformers.\1.blocks.\2.attn.\3"),
        Rule(rf"{BLOCK}\.mlp\.(.+)", r"_backbone.transformers.\1.blocks.\2.mlp.\3"),
        Rule(r"encoder\.pyramid\.lateral\.(.+)", r"_backbone.c5_conv.\1"),
        Rule(r"encoder\.pyramid\.middle\.(.+)", r"_backbone.up_conv5.\1"),
        Rule(r"encoder\.pyramid\.finest\.(.+)", r"_backbone.up_conv4.\1"),
        Rule(r"encoder\.project\.(.+)", r"_bev_downscale.\1"),
        Rule(r"encoder\.position", r"_keyval_embedding.weight", (None, -1)),
        Rule(r"head\.status_position", r"_keyval_embedding.weight", (-1, None)),
        Rule(r"head\.status\.(.+)", r"_status_encoding.\1"),
        Rule(r"head\.queries", r"_query_embedding.weight"),
        Rule(r"head\.decoder\.(.+)", r"_tf_decoder.layers.\1"),
        Rule(r"head\.trajectory\.(.+)", r"_trajectory_head._mlp.\1"),
        Rule(r"head\.perception\.box\.(.+)", r"_agent_head._mlp_states.\1"),
        Rule(r"head\.perception\.label\.(.+)", r"_agent_head._mlp_label.0.\1"),
        Rule(r"head\.perception\.semantics\.(.+)", r"_bev_semantic_head.\1"),
    ),
)
